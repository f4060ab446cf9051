//! Enumerations with a name for each variant, listed once.

/// Makes an enumeration with `ALL` (every variant, in order), `name` and `named`; records
/// and files hold the names.
macro_rules! named {
    (
        $(#[$doc:meta])*
        $type:ident {
            $( $(#[$variant_doc:meta])* $variant:ident = $name:literal, )+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(serde::Serialize, serde::Deserialize)]
        pub enum $type {
            $( $(#[$variant_doc])* #[serde(rename = $name)] $variant, )+
        }

        impl $type {
            /// Every one, in the order in which they are listed.
            pub const ALL: &'static [Self] = &[ $(Self::$variant,)+ ];

            /// The name in records, files and calls.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$variant => $name, )+
                }
            }

            /// The one of that name.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $( $name => Some(Self::$variant), )+
                    _ => None,
                }
            }
        }
    };
}
pub(crate) use named;
