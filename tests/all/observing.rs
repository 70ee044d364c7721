//! Runs the steps of a plan one by one on tables with rows, and looks at what each of them does.

use setpoint::catalog::Session;
use setpoint::kinds::Mode;
use setpoint::model::{Result, grantor};
use setpoint::plan::{Plan, Step, next_transaction};
use setpoint::prove::Watch;
use setpoint::prove::claims::{Fault, Observer};

/// Three simple rows for each table that takes them; triggers and foreign keys do not fire.
const FILL: &str = "SET session_replication_role = replica; \
    DO $fill$ DECLARE t record; columns text; row text; BEGIN \
      FOR t IN SELECT c.oid, c.oid::regclass AS name FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition \
          AND c.oid >= 16384 AND c.relnamespace::regnamespace::text NOT IN ('setpoint', 'pg_toast', 'information_schema') ORDER BY c.oid LOOP \
        FOR n IN 1..3 LOOP \
          SELECT string_agg(quote_ident(a.attname), ', '), string_agg(CASE y.typcategory WHEN 'N' THEN n::text WHEN 'B' THEN 'true' \
              WHEN 'S' THEN quote_literal(chr(96 + n)) WHEN 'D' THEN quote_literal(date '2024-01-01' + n) \
              WHEN 'E' THEN (SELECT quote_literal(enumlabel) FROM pg_enum WHERE enumtypid = y.oid ORDER BY enumsortorder LIMIT 1) \
              ELSE 'NULL' END, ', ') INTO columns, row \
          FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid \
          WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''; \
          BEGIN EXECUTE format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE VALUES (%s)', t.name, columns, row); \
          EXCEPTION WHEN others THEN \
            BEGIN EXECUTE format('INSERT INTO %s DEFAULT VALUES', t.name); EXCEPTION WHEN others THEN NULL; END; \
          END; \
        END LOOP; \
      END LOOP; END $fill$; \
    RESET session_replication_role";

/// Takes the rows from the tables of some schemas, or of all, and fills materialized views anew.
fn empty(schemas: &[String]) -> String {
    let names: Vec<String> = schemas.iter().map(|schema| format!("'{}'", schema.replace('\'', "''"))).collect();
    let only = if names.is_empty() {
        String::new()
    } else {
        format!("AND c.relnamespace::regnamespace::text IN ({})", names.join(", "))
    };
    format!(
        "SET session_replication_role = replica; \
        DO $empty$ DECLARE t regclass; BEGIN \
          FOR t IN SELECT c.oid::regclass FROM pg_class c WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition {only} \
              AND c.oid >= 16384 AND c.relnamespace::regnamespace::text NOT IN ('setpoint', 'pg_toast', 'information_schema') LOOP \
            EXECUTE format('TRUNCATE %s CASCADE', t); \
          END LOOP; \
          FOR t IN SELECT c.oid::regclass FROM pg_class c WHERE c.relkind = 'm' AND c.relispopulated {only} ORDER BY c.oid LOOP \
            EXECUTE format('REFRESH MATERIALIZED VIEW %s', t); \
          END LOOP; END $empty$; \
        RESET session_replication_role"
    )
}

/// Takes the plan back, and runs it again; gives what was not as it was claimed, and how many steps were looked at.
///
/// # Errors
/// A step's that fails on empty tables.
pub async fn down_and_up(session: &Session, plan: &Plan) -> Result<(Vec<String>, usize)> {
    // Whoever gave a right has to take it back, and rights lock nothing.
    if plan.steps.iter().any(|step| grantor(&step.object).is_some()) {
        return Ok((Vec::new(), 0));
    }
    let (mut faults, mut count) = (Vec::new(), 0);
    let back = plan.steps.iter().rev();
    let down: Vec<(u32, &Step)> =
        back.flat_map(|step| step.inverse.iter().map(|back| (step.transaction, back))).collect();
    let up: Vec<(u32, &Step)> = plan.steps.iter().map(|step| (step.transaction, step)).collect();
    for way in [down, up] {
        let mut observer = Observer::default();
        session.batch(FILL).await?;
        let mut rest = way.as_slice();
        while !rest.is_empty() {
            let size = next_transaction(rest.iter().map(|(transaction, step)| (*transaction, step.mode)));
            let (now, later) = rest.split_at(size);
            rest = later;
            for (_, step) in now {
                let mut tried = attempt(session, now, step, &mut observer).await;
                // The rows may not be of the kind that the step asks for.
                for schemas in [step.path.as_slice(), &[]] {
                    if tried.is_err() {
                        session.batch(&empty(schemas)).await?;
                        observer.passes();
                        tried = attempt(session, now, step, &mut observer).await;
                    }
                }
                tried?;
            }
        }
        count += way.len();
        faults.extend(observer.faults().iter().filter(|fault| !holds_on_purpose(fault)).map(shown));
    }
    session.batch(&session.pins()).await?;
    Ok((faults, count))
}

fn shown(fault: &Fault) -> String {
    format!("{}: {}: {}", fault.step, fault.what, fault.sql)
}

/// True for what nobody may write to while the last number in it is looked for: `apply` takes that lock, and the query itself a weaker one.
fn holds_on_purpose(fault: &Fault) -> bool {
    !fault.too_weak
        && fault.sql.contains("SELECT pg_catalog.setval(")
        && fault.what.contains("it claims SHARE ROW EXCLUSIVE")
}

/// Runs a step in a transaction of its own, so that no other's locks are taken for its own; `together` are those that share it otherwise.
async fn attempt(session: &Session, together: &[(u32, &Step)], step: &Step, observer: &mut Observer) -> Result<()> {
    let path = format!("SET search_path TO {}", step.search_path());
    if step.mode == Mode::Alone {
        session.batch(&path).await?;
        session.batch(&step.sql).await?;
        observer.passes();
        return Ok(());
    }
    observer.begins(together);
    let run = async {
        session.batch(&format!("BEGIN; {path}; SET LOCAL check_function_bodies = off")).await?;
        observer.before(session, step).await?;
        session.batch(&step.sql).await?;
        observer.after(session, step).await?;
        session.batch("COMMIT").await
    };
    match run.await {
        Ok(()) => observer.ends(),
        Err(error) => {
            // The error is what there is to tell.
            let _ = session.batch("ROLLBACK").await;
            return Err(error);
        }
    }
    Ok(())
}
