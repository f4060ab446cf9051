//! Thresholds on entropy signals: of a model, and of a run without one.
use super::GateSignal;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The quantile that a gate is set at where none is asked for. One step in five is rolled
/// out: with four candidates a step that is 0.6 more actions than steps, while at 0.75,
/// the first gate's, it is 0.75 more.
pub const GATE_QUANTILE: f64 = 0.8;

/// Steps of a run that a [`RunningGate`] needs before it opens: of fewer than five, the
/// one in five that [`GATE_QUANTILE`] rolls out is no whole step.
pub const RUNNING_STEPS_MIN: usize = 5;

/// A threshold on one signal and where it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The signal compared with the threshold.
    pub signal: GateSignal,
    /// Branch where the signal is at or above this, nats.
    pub threshold_nats: f32,
    /// The quantile of the signal's distribution that the threshold is; `None`
    /// for one that was not measured.
    #[serde(default)]
    pub quantile: Option<f32>,
    /// Tasks, date and seed that the quantile was measured on.
    pub provenance: String,
}

impl Gate {
    /// Where the threshold came from, in a clause.
    pub fn source(&self) -> String {
        match self.quantile {
            // A gate of the user's own runs says its quantile itself.
            Some(quantile)
                if self
                    .provenance
                    .starts_with(&format!("{quantile:.2} quantile")) =>
            {
                self.provenance.clone()
            }
            Some(quantile) => format!("quantile {quantile:.2}: {}", self.provenance),
            None => self.provenance.clone(),
        }
    }
}

/// The gate of a run whose model has none: a quantile of a signal over the steps of this
/// run before the one decided on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunningGate {
    pub signal: GateSignal,
    pub quantile: f32,
    /// Steps before this one at which the signal was measured. Below
    /// [`RUNNING_STEPS_MIN`] the gate is not open, and the decision has no threshold.
    pub n_steps: usize,
}

/// Gates of one model, each on another signal. A strategy that names a signal takes the gate
/// on it, any other strategy the first.
///
/// Written as one gate or as a list: `[gate]` or several `[[gate]]`. Refused where two are on
/// the same signal.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Gates(Vec<Gate>);

impl Gates {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn first(&self) -> Option<&Gate> {
        self.0.first()
    }

    /// The gate on that signal.
    pub fn on(&self, signal: GateSignal) -> Option<&Gate> {
        self.0.iter().find(|gate| gate.signal == signal)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Gate> {
        self.0.iter()
    }

    /// These, then those of `others` on other signals.
    pub fn or(self, others: Self) -> Self {
        self.0.into_iter().chain(others.0).collect()
    }
}

/// Of several on one signal, the first.
impl FromIterator<Gate> for Gates {
    fn from_iter<I: IntoIterator<Item = Gate>>(gates: I) -> Self {
        let mut all = Self::default();
        for gate in gates {
            if all.on(gate.signal).is_none() {
                all.0.push(gate);
            }
        }
        all
    }
}

impl<'de> Deserialize<'de> for Gates {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;

        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Vec<Gate>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a gate or a list of gates")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<Gate>, A::Error> {
                Ok(vec![Gate::deserialize(MapAccessDeserializer::new(map))?])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<Gate>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq))
            }
        }

        let given = from.deserialize_any(OneOrSeveral)?;
        for (at, gate) in given.iter().enumerate() {
            if given[..at].iter().any(|other| other.signal == gate.signal) {
                let name = gate.signal.name();
                return Err(D::Error::custom(format!(
                    "two gates are on the signal {name:?}"
                )));
            }
        }
        Ok(Self(given))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(signal: GateSignal, threshold_nats: f32) -> Gate {
        Gate {
            signal,
            threshold_nats,
            quantile: None,
            provenance: "a test".into(),
        }
    }

    #[test]
    fn one_gate_is_kept_for_each_signal() {
        let tool = gate(GateSignal::Tool, 0.1);
        let own: Gates = [gate(GateSignal::ArgsMax, 1.0), tool.clone()]
            .into_iter()
            .collect();
        let others: Gates = [gate(GateSignal::Tool, 9.0), gate(GateSignal::Vote, 0.5)]
            .into_iter()
            .collect();
        let all = own.or(others);
        let signals: Vec<GateSignal> = all.iter().map(|gate| gate.signal).collect();
        let [args_max, vote] = [GateSignal::ArgsMax, GateSignal::Vote];
        assert_eq!(signals, [args_max, GateSignal::Tool, vote]);
        assert_eq!(all.first().unwrap().signal, args_max);
        assert_eq!(all.on(GateSignal::Tool), Some(&tool));
        assert_eq!(all.on(GateSignal::Location), None);
    }

    #[test]
    fn gates_are_written_as_one_or_as_a_list() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct File {
            gate: Gates,
        }
        let one = "signal = \"tool\"\nthreshold_nats = 0.5\nprovenance = \"a test\"\n";
        let other = one.replace("tool", "vote");
        let single: File = toml::from_str(&format!("[gate]\n{one}")).unwrap();
        assert_eq!(single.gate.first(), Some(&gate(GateSignal::Tool, 0.5)));
        let both: File = toml::from_str(&format!("[[gate]]\n{one}[[gate]]\n{other}")).unwrap();
        assert_eq!(both.gate.iter().count(), 2);
        assert_eq!(
            toml::from_str::<File>(&toml::to_string(&both).unwrap()).unwrap(),
            both
        );
        for (wrong, why) in [
            (
                format!("[[gate]]\n{one}[[gate]]\n{one}"),
                "two gates are on the signal \"tool\"",
            ),
            ("gate = 3".to_owned(), "a gate or a list of gates"),
            (
                format!("[gate]\n{}", one.replace("tool", "mood")),
                "unknown variant `mood`",
            ),
        ] {
            let said = toml::from_str::<File>(&wrong).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
    }
}
