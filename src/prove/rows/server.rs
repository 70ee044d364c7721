//! What the throwaway server does: it judges candidates and accepts rows, and survives errors in either.

use std::time::Instant;

use serde_json::Value;

use crate::catalog::Session;
use crate::model::{Error, Result};
use crate::sql;

/// Functions that exist while tables are filled. The first computes expressions for many candidates at once; if one of them fails, each
/// by itself, so that an error is only a candidate's. The second inserts rows one by one.
const FUNCTIONS: &str =
    "CREATE FUNCTION pg_temp.setpoint_ask(whole text, each text[], given json, milliseconds int) RETURNS text \
     LANGUAGE plpgsql AS $f$
     DECLARE answer text; one text; list text[] := '{}'; values text[]; item json; query text; \
       finish timestamptz := clock_timestamp() + milliseconds * interval '1 millisecond'; \
     BEGIN \
       BEGIN EXECUTE whole INTO answer USING given; RETURN answer; EXCEPTION WHEN OTHERS THEN NULL; END; \
       FOR item IN SELECT e FROM json_array_elements(given) AS u(e) LOOP \
         values := '{}'; \
         FOREACH query IN ARRAY each LOOP \
           one := NULL; \
           IF clock_timestamp() < finish THEN \
             BEGIN EXECUTE query INTO one USING item; EXCEPTION WHEN OTHERS THEN one := NULL; END; \
           END IF; \
           values := values || one; \
         END LOOP; \
         list := list || to_json(values)::text; \
       END LOOP; \
       RETURN '[' || array_to_string(list, ',') || ']'; \
     END $f$; \
     CREATE FUNCTION pg_temp.setpoint_put(query text, given json) RETURNS text LANGUAGE plpgsql AS $f$
     DECLARE item json; list text[] := '{}'; state text; called text; said text; \
     BEGIN \
       FOR item IN SELECT e FROM json_array_elements(given) AS u(e) LOOP \
         BEGIN \
           EXECUTE query USING item; \
           list := list || 'null'::text; \
         EXCEPTION WHEN OTHERS THEN \
           GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, called = CONSTRAINT_NAME, said = MESSAGE_TEXT; \
           list := list || to_json(ARRAY[state, called, said])::text; \
         END; \
       END LOOP; \
       RETURN '[' || array_to_string(list, ',') || ']'; \
     END $f$";

/// A column or an expression of candidates: its name as SQL and its type.
pub(super) struct Given {
    pub name: String,
    pub sql: String,
}

/// Why a row was not accepted.
#[derive(Debug, Clone)]
pub(super) struct Violation {
    pub state: String,
    pub constraint: String,
    pub message: String,
}

/// Makes its functions.
///
/// # Errors
/// The server's.
pub(super) async fn set_up(session: &Session) -> Result<()> {
    session.batch(FUNCTIONS).await
}

/// Drops them again.
///
/// # Errors
/// The server's.
pub(super) async fn clear(session: &Session) -> Result<()> {
    let drop = "DROP FUNCTION pg_temp.setpoint_ask(text, text[], json, int), pg_temp.setpoint_put(text, json)";
    session.batch(drop).await
}

/// Where candidates are judged and rows put in, until some time.
pub(super) struct Desk<'a> {
    pub session: &'a Session,
    /// The deadline for candidates that fail.
    pub deadline: Instant,
}

impl Desk<'_> {
    /// Computes expressions as text for each candidate; `None` where they are NULL or fail.
    ///
    /// # Errors
    /// The server's, also where it took too long.
    pub async fn ask(
        &self,
        source: &Source,
        expressions: &[String],
        rows: &[Vec<Option<&str>>],
    ) -> Result<Vec<Vec<Option<String>>>> {
        if rows.is_empty() || expressions.is_empty() {
            return Ok(vec![Vec::new(); rows.len()]);
        }
        let list: Vec<String> = expressions.iter().map(|text| format!("({text})::text")).collect();
        let whole = format!(
            "SELECT json_agg(ARRAY[{}] ORDER BY setpoint_o)::text FROM json_array_elements($1) WITH ORDINALITY AS setpoint_u(setpoint_e, setpoint_o), {}",
            list.join(", "),
            source.lateral("setpoint_e"),
        );
        let each: Vec<String> = list
            .iter()
            .map(|text| {
                format!("SELECT {text} FROM (SELECT $1 AS setpoint_e) AS setpoint_u, {}", source.lateral("setpoint_e"))
            })
            .collect();
        let given = serde_json::to_string(rows).unwrap_or_default();
        let left = self.deadline.saturating_duration_since(Instant::now()).as_millis().max(20);
        let each: Vec<String> = each.iter().map(|query| sql::literal(query)).collect();
        // Without parameters it is one message and one answer.
        let query = format!(
            "SELECT pg_temp.setpoint_ask({}, ARRAY[{}], {}::json, {left})",
            sql::literal(&whole),
            each.join(", "),
            sql::literal(&given),
        );
        let answer = self.session.rows(&query, &[]).await?;
        let text = answer.into_iter().next().map(|mut row| row.text().to_string()).unwrap_or_default();
        serde_json::from_str(&text).map_err(|error| Error::failed(format!("candidates could not be judged: {error}")))
    }

    /// Inserts rows, each by itself.
    ///
    /// # Errors
    /// The server's, also where it took too long.
    pub async fn put(
        &self,
        table: &str,
        columns: &[Given],
        rows: &[Vec<Option<&str>>],
    ) -> Result<Vec<Option<Violation>>> {
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let values: Vec<String> =
            columns.iter().enumerate().map(|(at, column)| format!("($1->>{at})::{}", column.sql)).collect();
        let statement = match columns.is_empty() {
            true => format!("INSERT INTO {table} DEFAULT VALUES"),
            false => format!(
                "INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE SELECT {}",
                names.join(", "),
                values.join(", ")
            ),
        };
        let given = serde_json::to_string(rows).unwrap_or_default();
        let answer =
            self.session.rows("SELECT pg_temp.setpoint_put($1, $2::text::json)", &[&statement, &given]).await?;
        let text = answer.into_iter().next().map(|mut row| row.text().to_string()).unwrap_or_default();
        let list: Vec<Value> = serde_json::from_str(&text).unwrap_or_default();
        let violation = |value: &Value| {
            let at = |at: usize| value.get(at).and_then(Value::as_str).unwrap_or_default().to_owned();
            value.is_array().then(|| Violation { state: at(0), constraint: at(1), message: at(2) })
        };
        Ok(list.iter().map(violation).collect())
    }
}

/// Candidates as a table that is called like the real one, so that its expressions can be computed from them.
pub(super) struct Source {
    pub alias: String,
    pub columns: Vec<Given>,
    /// Generated columns: what computes them stands in for their types.
    pub generated: Vec<(String, String)>,
}

impl Source {
    fn lateral(&self, from: &str) -> String {
        let columns: Vec<String> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| format!("({from}->>{at})::{} AS {}", column.sql, column.name))
            .collect();
        let alias = &self.alias;
        let inner = format!("(SELECT {}) AS {alias}", columns.join(", "));
        if self.generated.is_empty() {
            return format!("LATERAL {inner}");
        }
        let more: Vec<String> = self.generated.iter().map(|(name, text)| format!("{text} AS {name}")).collect();
        format!("LATERAL (SELECT {alias}.*, {} FROM {inner}) AS {alias}", more.join(", "))
    }
}
