//! The signatures of functions and operators as text.

use std::sync::Arc;

use arrow::datatypes::DataType::Utf8;

use crate::catalog::content::objects::type_display;
use crate::catalog::facts::SessionFacts;
use crate::catalog::rows::Value;
use crate::catalog::statics::{self, Routine};
use crate::error::{ClientMessage, SqlState};

use super::Kind::{Any, Bool, Object};
use super::text::{quote_ident, split_identifier};
use super::{Function, client, oid_of};

pub(super) fn all(_facts: &Arc<SessionFacts>) -> Vec<Function> {
    let of = |name, text: fn(&Routine) -> Option<String>| {
        Function::new(name, &[Object], Utf8, move |values| {
            Ok(oid_of(values, 0).and_then(|oid| statics::routines().get(&oid)).and_then(text).into())
        })
    };
    let null = |name| Function::new(name, &[Object, Bool], Utf8, |_| Ok(Value::Null)).required(1);
    let types = Function::new("oidvectortypes", &[Any], Utf8, |values| {
        Ok(match values.first() {
            Some(Value::Ints(oids)) => {
                let names = oids.iter().map(|oid| type_name(u32::try_from(*oid).unwrap_or(0)));
                names.collect::<Vec<_>>().join(", ").into()
            }
            // An array without elements comes as one of texts.
            Some(Value::Texts(_)) => "".into(),
            _ => Value::Null,
        })
    });
    vec![
        types,
        of("pg_get_function_arguments", |routine| Some(arguments(routine, true))),
        of("pg_get_function_identity_arguments", |routine| Some(arguments(routine, false))),
        of("pg_get_function_result", result),
        null("pg_get_functiondef"),
        null("pg_get_function_sqlbody"),
    ]
}

fn type_name(oid: u32) -> String {
    type_display(oid, -1).unwrap_or_else(|| "???".to_owned())
}

/// The arguments with their modes, names and, if wanted, defaults.
fn arguments(routine: &Routine, with_defaults: bool) -> String {
    let all = if routine.all.is_empty() { &routine.takes } else { &routine.all };
    let first_default = routine.takes.len().saturating_sub(routine.defaults.len());
    let mut taken = 0;
    let mut parts = Vec::with_capacity(all.len());
    for (at, oid) in all.iter().enumerate() {
        let mode = routine.modes.get(at).map_or("i", String::as_str);
        if mode == "t" || (mode == "o" && !with_defaults) {
            continue;
        }
        let word = match mode {
            "o" => "OUT ",
            "b" => "INOUT ",
            "v" => "VARIADIC ",
            _ => "",
        };
        let name = routine.names.get(at).filter(|name| !name.is_empty());
        let name = name.map(|name| format!("{} ", quote_ident(name))).unwrap_or_default();
        let mut part = format!("{word}{name}{}", type_name(*oid));
        if mode != "o" {
            let default = usize::checked_sub(taken, first_default).and_then(|place| routine.defaults.get(place));
            if let Some(default) = default.filter(|_| with_defaults) {
                part.push_str(&format!(" DEFAULT {default}"));
            }
            taken += 1;
        }
        parts.push(part);
    }
    // An ordered-set aggregate's own arguments stand behind ORDER BY; which those are, its catalog says.
    parts.join(", ")
}

fn result(routine: &Routine) -> Option<String> {
    if routine.kind == "p" {
        return None;
    }
    let columns: Vec<usize> = (0..routine.all.len()).filter(|at| routine.modes.get(*at).is_some_and(|mode| mode == "t")).collect();
    if !columns.is_empty() {
        let shown = |at: &usize| {
            let name = routine.names.get(*at).map(|name| quote_ident(name)).unwrap_or_default();
            format!("{name} {}", type_name(routine.all.get(*at).copied().unwrap_or(0)))
        };
        return Some(format!("TABLE({})", columns.iter().map(shown).collect::<Vec<_>>().join(", ")));
    }
    Some(format!("{}{}", if routine.set { "SETOF " } else { "" }, type_name(routine.returns)))
}

/// A function with the types that it takes, as `regprocedure` shows it.
pub(super) fn signature(oid: u32) -> Option<String> {
    let routine = statics::routines().get(&oid)?;
    let types: Vec<String> = routine.takes.iter().map(|oid| type_name(*oid)).collect();
    Some(format!("{}({})", quote_ident(&routine.name), types.join(",")))
}

/// A function's name as `regproc` shows it: with its schema if the name alone is not enough.
pub(super) fn bare(oid: u32) -> Option<String> {
    let name = statics::function_name(oid)?;
    let many = statics::routines().values().filter(|routine| routine.name == name).take(2).count() > 1;
    Some(if many { format!("pg_catalog.{}", quote_ident(name)) } else { quote_ident(name) })
}

/// An operator with its sides, as `regoperator` shows it.
pub(super) fn operator(oid: u32, sides: bool) -> Option<String> {
    let (name, left, right) = statics::operator(oid)?;
    let side = |oid: u32| if oid == 0 { "NONE".to_owned() } else { type_name(oid) };
    Some(if sides { format!("{name}({},{})", side(left), side(right)) } else { name.to_owned() })
}

/// The function of that name, with or without the types that it takes.
pub(super) fn find(facts: &SessionFacts, text: &str) -> Result<Option<u32>, datafusion::error::DataFusionError> {
    let (name, types) = match text.split_once('(') {
        Some((name, types)) => (name, Some(types.trim_end().trim_end_matches(')'))),
        None => (text, None),
    };
    let Some(name) = split_identifier(name).and_then(|mut parts| parts.pop()) else { return Ok(None) };
    let mut named = statics::routines().iter().filter(|(_, routine)| routine.name == name);
    let Some(types) = types else {
        let found = named.next().map(|(oid, _)| *oid);
        if named.next().is_some() {
            return Err(client(ClientMessage::new(SqlState::AMBIGUOUS_FUNCTION, format!("more than one function named \"{text}\""))));
        }
        return Ok(found);
    };
    let wanted: Option<Vec<u32>> =
        types.split(',').map(str::trim).filter(|part| !part.is_empty()).map(|part| facts.type_oid(part)).collect();
    Ok(wanted.and_then(|wanted| named.find(|(_, routine)| routine.takes == wanted).map(|(oid, _)| *oid)))
}

/// The operator of that name, with or without the types of its sides.
pub(super) fn find_operator(facts: &SessionFacts, text: &str) -> Result<Option<u32>, datafusion::error::DataFusionError> {
    let (name, sides) = match text.split_once('(') {
        Some((name, sides)) => (name, Some(sides.trim_end().trim_end_matches(')'))),
        None => (text, None),
    };
    let name = name.trim();
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
    let mut named = statics::operators_named(name);
    let Some(sides) = sides else {
        let found = named.next().map(|(oid, ..)| oid);
        if named.next().is_some() {
            return Err(client(ClientMessage::new(SqlState::AMBIGUOUS_FUNCTION, format!("more than one operator named {name}"))));
        }
        return Ok(found);
    };
    let side = |part: &str| if part.trim().eq_ignore_ascii_case("none") { Some(0) } else { facts.type_oid(part.trim()) };
    let wanted = sides.split_once(',').and_then(|(left, right)| Some((side(left)?, side(right)?)));
    Ok(wanted.and_then(|wanted| named.find(|(_, left, right)| (*left, *right) == wanted).map(|(oid, ..)| oid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_read_as_in_postgresql() {
        let routine = |oid| statics::routines().get(&oid).unwrap();
        assert_eq!(arguments(routine(1066), true), "integer, integer, integer");
        assert_eq!(result(routine(1066)).unwrap(), "SETOF integer");
        assert_eq!(
            arguments(routine(1686), true),
            "OUT word text, OUT catcode \"char\", OUT barelabel boolean, OUT catdesc text, OUT baredesc text"
        );
        assert_eq!(result(routine(1686)).unwrap(), "SETOF record");
        assert_eq!(signature(870).unwrap(), "lower(text)");
        assert_eq!(bare(870).unwrap(), "pg_catalog.lower");
        assert_eq!(bare(1242).unwrap(), "boolin");
        assert_eq!(operator(96, true).unwrap(), "=(integer,integer)");
    }
}
