//! Jinja's own globals and filters that the engine does not have, or has for other
//! arguments: `cycler`, `joiner`, `truncate`, `wordcount`, `center`, `is callable`.
use super::{methods, text};
use minijinja::value::{Kwargs, Object, ObjectRepr, Rest, Value, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, State};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

pub(super) fn add_to(env: &mut Environment<'static>) {
    env.add_function("cycler", cycler);
    env.add_function("joiner", joiner);
    env.add_test("callable", is_callable);
    env.add_filter("truncate", truncate);
    env.add_filter("wordcount", |text: String| {
        let is_part = |c: char| !(c.is_alphanumeric() || c == '_');
        text.split(is_part).filter(|word| !word.is_empty()).count()
    });
    env.add_filter("center", |text: String, width: Option<usize>| {
        methods::in_width(&text, "center", width.unwrap_or(80), " ")
    });
}

/// Goes through its items again and again.
#[derive(Debug)]
struct Cycler {
    items: Vec<Value>,
    at: AtomicUsize,
}

impl Object for Cycler {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let current = || self.items[self.at.load(Ordering::Relaxed)].clone();
        (key.as_str() == Some("current")).then(current)
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let () = from_args(args)?;
        let at = self.at.load(Ordering::Relaxed);
        match method {
            "next" => {
                let next = (at + 1) % self.items.len();
                self.at.store(next, Ordering::Relaxed);
                Ok(self.items[at].clone())
            }
            "reset" => {
                self.at.store(0, Ordering::Relaxed);
                Ok(Value::from(()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

fn cycler(items: Rest<Value>) -> Result<Value, Error> {
    if items.is_empty() {
        let what = "at least one item has to be provided";
        return Err(Error::new(ErrorKind::InvalidOperation, what));
    }
    Ok(Value::from_object(Cycler {
        items: items.to_vec(),
        at: AtomicUsize::new(0),
    }))
}

/// Gives its separator, but for the first time.
#[derive(Debug)]
struct Joiner {
    separator: Value,
    used: AtomicBool,
}

impl Object for Joiner {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let () = from_args(args)?;
        Ok(match self.used.swap(true, Ordering::Relaxed) {
            true => self.separator.clone(),
            false => Value::from(""),
        })
    }
}

fn joiner(separator: Option<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let separator = match separator {
        Some(separator) => Some(separator),
        None => kwargs.get::<Option<Value>>("sep")?,
    };
    kwargs.assert_all_used()?;
    Ok(Value::from_object(Joiner {
        separator: separator.unwrap_or_else(|| Value::from(", ")),
        used: AtomicBool::new(false),
    }))
}

/// True for values that Python can call: functions, macros, joiners; and for undefined ones,
/// which is an object with a way to be called that fails. Methods of strings and dicts are
/// not values here, and so not defined.
fn is_callable(value: &Value) -> bool {
    let is_macro = || {
        let object = value.as_object();
        object.is_some_and(|object| object.type_name().ends_with("Macro"))
    };
    match value.kind() {
        ValueKind::Undefined => true,
        ValueKind::Plain => value.downcast_object_ref::<Cycler>().is_none(),
        _ => is_macro(),
    }
}

/// `truncate(length=255, killwords=false, end='...', leeway=5)`, the last by its name.
fn truncate(
    value: Value,
    length: Option<usize>,
    killwords: Option<bool>,
    end: Option<String>,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let named = |name| kwargs.get::<Option<usize>>(name);
    let length = match length {
        Some(length) => length,
        None => named("length")?.unwrap_or(255),
    };
    let killwords = match killwords {
        Some(killwords) => killwords,
        None => kwargs.get::<Option<bool>>("killwords")?.unwrap_or(false),
    };
    let end = match end {
        Some(end) => end,
        None => kwargs.get::<Option<String>>("end")?.unwrap_or("...".into()),
    };
    let leeway = named("leeway")?.unwrap_or(5);
    kwargs.assert_all_used()?;
    let text = text::str_of(&value);
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let Some(kept) = length.checked_sub(end.chars().count()) else {
        let what = format!("expected length >= {}, got {length}", end.chars().count());
        return Err(Error::new(ErrorKind::InvalidOperation, what));
    };
    let cut: String = text.chars().take(kept).collect();
    let cut = match killwords {
        true => &cut,
        false => cut.rsplit_once(' ').map_or(&*cut, |(words, _)| words),
    };
    Ok(format!("{cut}{end}"))
}
