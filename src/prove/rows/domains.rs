//! Which values domains accept.

use rustc_hash::FxHashMap;

use crate::model::Result;

use super::columns::Facts;
use super::conditions;
use super::dice::Dice;
use super::literals::Constants;
use super::server::{Desk, Given, Source};
use super::types::Shape;
use super::values::{Values, values};

/// Values of each domain, so that arrays, ranges and rows of it hold nothing else.
///
/// # Errors
/// The server's.
pub(super) async fn domains(desk: &Desk<'_>, facts: &Facts, seed: u64) -> Result<FxHashMap<u32, Values>> {
    let mut found = FxHashMap::default();
    for (kind, domain) in facts.types.domains() {
        let Shape::Domain { base_sql, checks, bodies, .. } = &domain.shape else { continue };
        let mut dice = Dice::new(seed, &domain.name);
        let mut list = values(&facts.types, kind, -1, &|_| None, &mut dice);
        let mut constants = Constants::default();
        checks.iter().map(|(_, text)| text).chain(bodies).for_each(|text| constants.add(text));
        let more = constants.values(&facts.types, kind, -1, &list, &mut dice);
        list.plain.splice(0..0, more);
        let source = Source {
            alias: "setpoint_d".to_owned(),
            columns: vec![Given { name: "setpoint_v".to_owned(), sql: base_sql.clone() }],
            generated: Vec::new(),
        };
        let all: Vec<String> = checks
            .iter()
            .map(|(_, text)| format!("({}) IS NOT FALSE", conditions::of_value(text, "setpoint_v")))
            .collect();
        let all = if all.is_empty() { vec!["true".to_owned()] } else { vec![all.join(" AND ")] };
        let keep = async |texts: &mut Vec<String>| -> Result<()> {
            let rows: Vec<Vec<Option<&str>>> = texts.iter().map(|text| vec![Some(text.as_str())]).collect();
            let answers = desk.ask(&source, &all, &rows).await?;
            let mut passed =
                answers.iter().map(|row| row.first().is_some_and(|answer| answer.as_deref() == Some("true")));
            texts.retain(|_| passed.next().unwrap_or(false));
            Ok(())
        };
        keep(&mut list.edges).await?;
        keep(&mut list.plain).await?;
        found.insert(kind, list);
    }
    Ok(found)
}
