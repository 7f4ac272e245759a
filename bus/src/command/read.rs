//! Reading a command as it comes.
//!
//! The form of a command is what [`CommandBody`] and [`DesiredChange`] say with their attributes. Reading it by those keeps
//! every field of the body aside, three times over, until it is known which kind it is of, and a command may hold ten
//! thousand rules. Whoever writes a command writes its kind first, so here a field is read as what it is as soon as kind and
//! form are known. What stands in front of them is kept aside; what is no field of the kind is passed over. The tests hold
//! both ways of reading against each other.

use std::fmt;

use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Command, CommandBody, DesiredChange, Wanted};
use crate::ids::{CorrelationId, Epoch, Generation, Region, SwitchId, Term};
use crate::objects::{ObjectKeys, Objects};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum Field {
    CorrelationId,
    Requester,
    DeadlineMs,
    OwnerEpoch,
    Region,
    Epoch,
    Kind,
    Form,
    Switch,
    Put,
    Remove,
    Term,
    Generation,
    Objects,
    Base,
    Wanted,
    Snapshot,
    Parts,
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Apply,
    Desired,
    Activate,
    Deactivate,
    Dump,
    Plan,
    SwitchSnapshot,
    Many,
    RegionSnapshot,
}

const KINDS: &[(&str, Kind)] = &[
    ("apply", Kind::Apply),
    ("desired", Kind::Desired),
    ("activate", Kind::Activate),
    ("deactivate", Kind::Deactivate),
    ("dump", Kind::Dump),
    ("plan", Kind::Plan),
    ("switch_snapshot", Kind::SwitchSnapshot),
    ("many", Kind::Many),
    ("region_snapshot", Kind::RegionSnapshot),
];
const KIND_NAMES: &[&str] = &[
    "apply",
    "desired",
    "activate",
    "deactivate",
    "dump",
    "plan",
    "switch_snapshot",
    "many",
    "region_snapshot",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Snapshot,
    Delta,
}

const FORMS: &[(&str, Form)] = &[("snapshot", Form::Snapshot), ("delta", Form::Delta)];
const FORM_NAMES: &[&str] = &["snapshot", "delta"];

/// What is to be done with the value of a field.
enum Use {
    Read,
    /// It is not a field of this kind.
    Pass,
    /// The kind or the form is not known yet.
    Keep,
}

/// The fields that were read so far.
#[derive(Default)]
struct Parts {
    correlation_id: Option<CorrelationId>,
    requester: Option<String>,
    deadline_ms: Option<u64>,
    owner_epoch: Option<Option<u64>>,
    region: Option<Option<Region>>,
    epoch: Option<Option<Epoch>>,
    kind: Option<Named<Kind>>,
    form: Option<Named<Form>>,
    switch: Option<SwitchId>,
    put: Option<Objects>,
    remove: Option<ObjectKeys>,
    term: Option<Term>,
    generation: Option<Generation>,
    objects: Option<Objects>,
    base: Option<Generation>,
    wanted: Option<Option<Wanted>>,
    snapshot: Option<CorrelationId>,
    parts: Option<Vec<CommandBody>>,
    kept: Vec<(Field, Value)>,
}

/// One of a few names, or another, which is told after everything else that is wrong.
struct Named<T> {
    name: String,
    known: Option<T>,
}

impl<T: Copy> Named<T> {
    fn of(name: String, all: &[(&str, T)]) -> Self {
        let known = all.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        Named { name, known }
    }

    fn needed<E: Error>(&self, names: &'static [&'static str]) -> Result<T, E> {
        self.known.ok_or_else(|| E::unknown_variant(&self.name, names))
    }
}

fn set<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    place: &mut Option<T>,
    name: &'static str,
    value: D,
) -> Result<(), D::Error> {
    if place.is_some() {
        return Err(D::Error::duplicate_field(name));
    }
    *place = Some(T::deserialize(value)?);
    Ok(())
}

fn set_named<'de, T: Copy, D: Deserializer<'de>>(
    place: &mut Option<Named<T>>,
    name: &'static str,
    all: &[(&str, T)],
    value: D,
) -> Result<(), D::Error> {
    if place.is_some() {
        return Err(D::Error::duplicate_field(name));
    }
    *place = Some(Named::of(String::deserialize(value)?, all));
    Ok(())
}

fn needed<T, E: Error>(place: Option<T>, name: &'static str) -> Result<T, E> {
    place.ok_or_else(|| E::missing_field(name))
}

impl Parts {
    fn use_of(&self, field: Field) -> Use {
        let read = |is: bool| if is { Use::Read } else { Use::Pass };
        match field {
            Field::CorrelationId
            | Field::Requester
            | Field::DeadlineMs
            | Field::OwnerEpoch
            | Field::Region
            | Field::Epoch
            | Field::Kind => return Use::Read,
            Field::Unknown => return Use::Pass,
            _ => {}
        }
        let Some(kind) = &self.kind else {
            return Use::Keep;
        };
        match kind.known {
            None => Use::Pass,
            Some(Kind::Apply) => read(matches!(field, Field::Switch | Field::Put | Field::Remove)),
            Some(Kind::Desired) => match (field, &self.form) {
                (Field::Switch | Field::Term | Field::Generation | Field::Form, _) => Use::Read,
                (Field::Objects | Field::Base | Field::Put | Field::Remove, None) => Use::Keep,
                (_, None) => Use::Pass,
                (_, Some(form)) => match form.known {
                    None => Use::Pass,
                    Some(Form::Snapshot) => read(field == Field::Objects),
                    Some(Form::Delta) => read(matches!(field, Field::Base | Field::Put | Field::Remove)),
                },
            },
            Some(Kind::Activate | Kind::Deactivate) => read(matches!(field, Field::Switch | Field::Term)),
            Some(Kind::Dump | Kind::SwitchSnapshot) => read(field == Field::Switch),
            Some(Kind::Plan) => read(matches!(field, Field::Switch | Field::Wanted)),
            Some(Kind::Many) => read(field == Field::Parts),
            Some(Kind::RegionSnapshot) => read(field == Field::Snapshot),
        }
    }

    fn take<'de, D: Deserializer<'de>>(&mut self, field: Field, value: D) -> Result<(), D::Error> {
        match self.use_of(field) {
            Use::Read => self.read(field, value),
            Use::Pass => IgnoredAny::deserialize(value).map(drop),
            Use::Keep => {
                self.kept.push((field, Value::deserialize(value)?));
                Ok(())
            }
        }
    }

    fn read<'de, D: Deserializer<'de>>(&mut self, field: Field, value: D) -> Result<(), D::Error> {
        match field {
            Field::CorrelationId => set(&mut self.correlation_id, "correlation_id", value),
            Field::Requester => set(&mut self.requester, "requester", value),
            Field::DeadlineMs => set(&mut self.deadline_ms, "deadline_ms", value),
            Field::OwnerEpoch => set(&mut self.owner_epoch, "owner_epoch", value),
            Field::Region => set(&mut self.region, "region", value),
            Field::Epoch => set(&mut self.epoch, "epoch", value),
            Field::Kind => set_named(&mut self.kind, "kind", KINDS, value),
            Field::Form => set_named(&mut self.form, "form", FORMS, value),
            Field::Switch => set(&mut self.switch, "switch", value),
            Field::Put => set(&mut self.put, "put", value),
            Field::Remove => set(&mut self.remove, "remove", value),
            Field::Term => set(&mut self.term, "term", value),
            Field::Generation => set(&mut self.generation, "generation", value),
            Field::Objects => set(&mut self.objects, "objects", value),
            Field::Base => set(&mut self.base, "base", value),
            Field::Wanted => set(&mut self.wanted, "wanted", value),
            Field::Snapshot => set(&mut self.snapshot, "snapshot", value),
            Field::Parts => set(&mut self.parts, "parts", value),
            Field::Unknown => IgnoredAny::deserialize(value).map(drop),
        }
    }

    fn command<E: Error>(mut self) -> Result<Command, E> {
        let correlation_id = needed(self.correlation_id.take(), "correlation_id")?;
        let requester = needed(self.requester.take(), "requester")?;
        let deadline_ms = needed(self.deadline_ms.take(), "deadline_ms")?;
        let owner_epoch = self.owner_epoch.take().flatten();
        let region = self.region.take().flatten();
        let epoch = self.epoch.take().flatten();
        let Some(kind) = &self.kind else {
            return Err(E::missing_field("kind"));
        };
        let kind = kind.needed(KIND_NAMES)?;
        // The form says what the others are.
        let (forms, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition(|(field, _)| *field == Field::Form);
        for (field, value) in forms.into_iter().chain(others) {
            self.take(field, value).map_err(E::custom)?;
        }
        Ok(Command {
            correlation_id,
            requester,
            deadline_ms,
            owner_epoch,
            region,
            epoch,
            body: self.body(kind)?,
        })
    }

    fn body<E: Error>(self, kind: Kind) -> Result<CommandBody, E> {
        if kind == Kind::RegionSnapshot {
            let snapshot = needed(self.snapshot, "snapshot")?;
            return Ok(CommandBody::RegionSnapshot { snapshot });
        }
        if kind == Kind::Many {
            let parts = needed(self.parts, "parts")?;
            return Ok(CommandBody::Many { parts });
        }
        let switch = needed(self.switch, "switch")?;
        let term = |term| needed(term, "term");
        Ok(match kind {
            Kind::Apply => CommandBody::Apply {
                switch,
                put: self.put.unwrap_or_default(),
                remove: self.remove.unwrap_or_default(),
            },
            Kind::Desired => CommandBody::Desired {
                switch,
                term: term(self.term)?,
                generation: needed(self.generation, "generation")?,
                change: match needed(self.form, "form")?.needed(FORM_NAMES)? {
                    Form::Snapshot => DesiredChange::Snapshot {
                        objects: needed(self.objects, "objects")?,
                    },
                    Form::Delta => DesiredChange::Delta {
                        base: needed(self.base, "base")?,
                        put: self.put.unwrap_or_default(),
                        remove: self.remove.unwrap_or_default(),
                    },
                },
            },
            Kind::Activate => CommandBody::Activate {
                switch,
                term: term(self.term)?,
            },
            Kind::Deactivate => CommandBody::Deactivate {
                switch,
                term: term(self.term)?,
            },
            Kind::Dump => CommandBody::Dump { switch },
            Kind::Plan => CommandBody::Plan {
                switch,
                wanted: self.wanted.flatten(),
            },
            Kind::SwitchSnapshot | Kind::Many | Kind::RegionSnapshot => CommandBody::SwitchSnapshot { switch },
        })
    }
}

/// The value of one field.
struct Seed<'p>(&'p mut Parts, Field);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        self.0.take(self.1, value)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Command;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("struct Command")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Command, A::Error> {
        let mut parts = Parts::default();
        while let Some(field) = map.next_key()? {
            map.next_value_seed(Seed(&mut parts, field))?;
        }
        parts.command()
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Decoded, decode};
    use proptest::prelude::*;

    /// The same, as the attributes of the body say it.
    #[derive(Deserialize)]
    struct ByAttributes {
        correlation_id: CorrelationId,
        requester: String,
        deadline_ms: u64,
        #[serde(default)]
        owner_epoch: Option<u64>,
        #[serde(default)]
        region: Option<Region>,
        #[serde(default)]
        epoch: Option<Epoch>,
        #[serde(flatten)]
        body: CommandBody,
    }

    fn by_attributes(text: &str) -> Decoded<Command> {
        match decode::<ByAttributes>(text.as_bytes()) {
            Decoded::Message(read) => Decoded::Message(Command {
                correlation_id: read.correlation_id,
                requester: read.requester,
                deadline_ms: read.deadline_ms,
                owner_epoch: read.owner_epoch,
                region: read.region,
                epoch: read.epoch,
                body: read.body,
            }),
            Decoded::UnknownKind(kind) => Decoded::UnknownKind(kind),
            Decoded::Malformed(cause) => Decoded::Malformed(cause),
        }
    }

    /// Where something is wrong is told more exactly when it is read as it comes; and a name is called a string.
    fn without_place(read: Decoded<Command>) -> Decoded<Command> {
        match read {
            Decoded::Malformed(cause) => {
                let what = cause.split(" at line ").next().unwrap_or_default();
                Decoded::Malformed(what.replace("variant identifier", "a string"))
            }
            other => other,
        }
    }

    fn same(text: &str) {
        let read = without_place(decode::<Command>(text.as_bytes()));
        assert_eq!(read, without_place(by_attributes(text)), "{text}");
    }

    fn golden() -> Vec<(String, Vec<(String, Value)>)> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
        let mut all = Vec::new();
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("readable").path();
            let name = path.file_name().expect("a file").to_string_lossy().into_owned();
            if name.starts_with("command-") {
                let text = std::fs::read(&path).expect("readable");
                let Ok(Value::Object(fields)) = serde_json::from_slice(&text) else {
                    panic!("{name} is no object");
                };
                all.push((name, fields.into_iter().collect()));
            }
        }
        assert_eq!(all.len(), 11, "commands with a golden file");
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    }

    fn text(fields: &[(String, Value)]) -> String {
        let fields = fields.iter().map(|(name, value)| format!("{name:?}:{value}"));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    }

    #[test]
    fn every_command_is_read_in_any_order_of_its_fields() {
        for (name, mut fields) in golden() {
            let written = decode::<Command>(text(&fields).as_bytes());
            assert!(matches!(written, Decoded::Message(_)), "{name}: {written:?}");
            for _ in 0..fields.len() {
                fields.rotate_left(1);
                let mut backwards = fields.clone();
                backwards.reverse();
                for fields in [&fields, &backwards] {
                    assert_eq!(decode::<Command>(text(fields).as_bytes()), written, "{name}");
                    same(&text(fields));
                }
            }
        }
    }

    #[test]
    fn what_is_missing_twofold_or_of_another_kind_is_told_as_by_the_attributes() {
        let others = golden().into_iter().flat_map(|(_, fields)| fields);
        let mut others: Vec<(String, Value)> = others.collect();
        others.extend(["kind", "form"].map(|name| (name.to_owned(), Value::from("of_the_future"))));
        others.push((
            "a_field_of_the_future".to_owned(),
            serde_json::json!([1, { "x": null }]),
        ));
        for (_, fields) in golden() {
            for at in 0..fields.len() {
                let mut without = fields.clone();
                let gone = without.remove(at);
                same(&text(&without));
                let mut twofold = fields.clone();
                twofold.push(gone);
                same(&text(&twofold));
                for wrong in [Value::Null, Value::from(-1), Value::from("x"), serde_json::json!([{}])] {
                    let mut fields = fields.clone();
                    fields[at].1 = wrong;
                    same(&text(&fields));
                }
            }
            for other in &others {
                let has = fields.iter().position(|(name, _)| *name == other.0);
                let mut with = fields.clone();
                match has {
                    Some(at) => with[at] = other.clone(),
                    None => with.push(other.clone()),
                }
                same(&text(&with));
            }
        }
    }

    #[test]
    fn what_another_kind_has_is_passed_over_whatever_it_is() {
        let base = r#""correlation_id":"c","requester":"r","deadline_ms":1"#;
        for text in [
            format!(r#"{{{base},"kind":"dump","switch":"0x1","objects":5,"form":{{}},"term":"x"}}"#),
            format!(r#"{{"objects":5,"form":{{}},{base},"switch":"0x1","kind":"dump"}}"#),
            format!(
                r#"{{{base},"kind":"desired","switch":"0x1","term":1,"generation":2,"form":"delta","objects":5,"base":1}}"#
            ),
        ] {
            same(&text);
            assert!(
                matches!(decode::<Command>(text.as_bytes()), Decoded::Message(_)),
                "{text}"
            );
        }
        let unknown = format!(r#"{{"put":7,{base},"kind":"teleport","objects":5,"switch":1}}"#);
        same(&unknown);
        assert_eq!(
            decode::<Command>(unknown.as_bytes()),
            Decoded::UnknownKind("teleport".into())
        );
    }

    proptest! {
        #[test]
        fn any_mixture_of_fields_is_read_alike(picks in proptest::collection::vec((0_usize..10, 0_usize..16), 1..14)) {
            let golden = golden();
            let mut fields: Vec<(String, Value)> = Vec::new();
            for (command, field) in picks {
                let (_, from) = &golden[command];
                let (name, value) = &from[field % from.len()];
                if !fields.iter().any(|(had, _)| had == name) {
                    fields.push((name.clone(), value.clone()));
                }
            }
            same(&text(&fields));
        }
    }
}
