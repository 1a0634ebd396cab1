//! Which baseline a suite names: one for all devices, or one for each class.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Devices whose numerics differ, so that each has baselines of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceClass {
    /// The processor.
    Cpu,
    /// NVIDIA GPUs.
    Cuda,
}

impl DeviceClass {
    /// The class in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    /// The class of a device as fingerprints spell it: `cpu x86_64`, or a GPU.
    pub fn of_fingerprint(device: &str) -> Self {
        if device.starts_with("cpu") { Self::Cpu } else { Self::Cuda }
    }
}

/// `baseline: main`, or `baseline: {cpu: main-cpu, cuda: main-gpu}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaselineNames {
    /// One for all.
    One(String),
    /// One for each class; a class that is not named has none.
    ByDevice(BTreeMap<DeviceClass, String>),
}

impl Default for BaselineNames {
    fn default() -> Self {
        Self::One("main".into())
    }
}

impl BaselineNames {
    /// The name for a class of devices.
    pub fn of(&self, class: DeviceClass) -> Option<&str> {
        match self {
            Self::One(name) => Some(name),
            Self::ByDevice(names) => names.get(&class).map(String::as_str),
        }
    }

    /// All names.
    pub fn all(&self) -> Vec<&str> {
        match self {
            Self::One(name) => vec![name],
            Self::ByDevice(names) => names.values().map(String::as_str).collect(),
        }
    }
}

impl Serialize for BaselineNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(name) => serializer.serialize_str(name),
            Self::ByDevice(names) => names.serialize(serializer),
        }
    }
}

impl JsonSchema for BaselineNames {
    fn schema_name() -> Cow<'static, str> {
        "BaselineNames".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "One baseline for each class of devices; a class that is not named has none.",
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {
                        "cpu": {"description": "The baseline of runs on processors.", "type": "string"},
                        "cuda": {"description": "The baseline of runs on NVIDIA GPUs.", "type": "string"},
                    },
                    "minProperties": 1,
                    "additionalProperties": false,
                },
            ],
        })
    }
}

impl<'de> Deserialize<'de> for BaselineNames {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> de::Visitor<'de> for NamesVisitor {
    type Value = BaselineNames;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name, or a name for each class of devices ({cpu: …, cuda: …})")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<BaselineNames, E> {
        Ok(BaselineNames::One(name.into()))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<BaselineNames, A::Error> {
        let names = BTreeMap::deserialize(de::value::MapAccessDeserializer::new(map))?;
        if names.is_empty() { Err(de::Error::invalid_length(0, &self)) } else { Ok(BaselineNames::ByDevice(names)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_or_one_for_each_class() {
        let read = |text: &str| serde_json::from_str::<BaselineNames>(text);
        let one = read(r#""main""#).unwrap();
        assert_eq!((one.of(DeviceClass::Cpu), one.of(DeviceClass::Cuda)), (Some("main"), Some("main")));
        let text = r#"{"cpu":"main-cpu","cuda":"main-gpu"}"#;
        let both = read(text).unwrap();
        assert_eq!((both.of(DeviceClass::Cpu), both.of(DeviceClass::Cuda)), (Some("main-cpu"), Some("main-gpu")));
        assert_eq!(serde_json::to_string(&both).unwrap(), text);
        assert_eq!(serde_json::to_string(&one).unwrap(), r#""main""#);
        assert_eq!(read(r#"{"cpu":"a"}"#).unwrap().of(DeviceClass::Cuda), None);
        assert!(read("{}").is_err() && read(r#"{"gpu":"a"}"#).is_err() && read("3").is_err());
        assert_eq!(DeviceClass::of_fingerprint("cpu x86_64"), DeviceClass::Cpu);
        assert_eq!(DeviceClass::of_fingerprint("cuda 9.0 132 NVIDIA H200"), DeviceClass::Cuda);
    }
}
