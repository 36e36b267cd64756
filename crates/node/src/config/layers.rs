//! One layer of settings over another: a file over the defaults, then single values that came as text.

use toml::{Table, Value};

/// Lays `over` on `under`; tables are joined, everything else is replaced.
pub(super) fn lay(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => lay(under, over),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

/// Sets one value. `lake_s3_region` is `region` of `[lake.s3]`, as there is a table `lake` with a table `s3`.
pub(super) fn set(settings: &mut Table, key: String, text: &str) {
    let table =
        settings.iter().find_map(|(name, value)| Some((name, value.as_table()?, key.strip_prefix(name)?.strip_prefix('_')?)));
    match table.map(|(name, _, rest)| (name.clone(), rest.to_owned())) {
        Some((name, rest)) if !settings.contains_key(&key) => {
            if let Some(Value::Table(inner)) = settings.get_mut(&name) {
                set(inner, rest, text);
            }
        }
        _ => {
            let value = typed(settings.get(&key), text);
            settings.insert(key, value);
        }
    }
}

/// Text as the type that the setting has.
fn typed(present: Option<&Value>, text: &str) -> Value {
    match present {
        Some(Value::Integer(_)) => text.parse().map_or_else(|_not| Value::String(text.to_owned()), Value::Integer),
        Some(Value::Boolean(_)) => text.parse().map_or_else(|_not| Value::String(text.to_owned()), Value::Boolean),
        Some(Value::Array(_)) => {
            Value::Array(text.split(',').filter(|one| !one.is_empty()).map(|one| Value::String(one.to_owned())).collect())
        }
        _ => Value::String(text.to_owned()),
    }
}
