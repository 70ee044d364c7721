use setpoint::catalog::{Connect, Session};
use setpoint::model::*;
use setpoint::{diff, introspect, plan};
fn main() {
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let args: Vec<String> = std::env::args().collect();
    let r = rt.block_on(run(&args[1], &args[2]));
    if let Err(e) = r {
        println!("ERR {e}");
        std::process::exit(1)
    }
}
async fn run(a: &str, b: &str) -> Result<()> {
    let sa = Session::open(&Connect::parse(a)?, "replay").await?;
    let t = std::time::Instant::now();
    let live = introspect::read(&sa).await?;
    eprintln!("read {} objects in {:?}", live.state.len(), t.elapsed());
    let mut empty = State::default();
    empty.put(setpoint::kinds::scope::schema_id("public"), Object::default());
    let changes = diff::changes(&diff::compare(&empty, &live.state), &diff::Answers::default(), &empty, &live.state);
    let t = std::time::Instant::now();
    let none = Edges::default();
    let made = plan::plan(&plan::Wanted::new(&empty, &live.state, &none, changes, sa.version))?;
    eprintln!("planned {} steps in {:?}", made.steps.len(), t.elapsed());
    let sb = Session::open(&Connect::parse(b)?, "replay").await?;
    sb.batch("SET check_function_bodies = off").await?;
    for step in &made.steps {
        sb.batch(&format!(
            "SET search_path = {}",
            if step.path.is_empty() {
                "pg_catalog".into()
            } else {
                step.path.iter().map(|s| format!("\"{s}\"")).collect::<Vec<_>>().join(",")
            }
        ))
        .await?;
        if let Err(e) = sb.batch(&step.sql).await {
            println!("FAILED {}\n{}\n{e}", step.object, step.sql);
            return Ok(());
        }
    }
    sb.batch("SET search_path = pg_catalog").await?;
    let after = introspect::read(&sb).await?;
    let c = diff::compare(&live.state, &after.state);
    if !c.is_empty() {
        println!(
            "DIFF created {:?} dropped {:?} changed {:?} open {:?}",
            c.created,
            c.dropped,
            c.changed,
            c.open.iter().map(|o| (&o.id, o.attr)).collect::<Vec<_>>()
        );
    }
    for (id, attrs) in &c.changed {
        println!("{id} {attrs:?} {:?} -> {:?}", live.state.get(id), after.state.get(id));
    }
    // and back
    let edges = {
        let l = introspect::begin(&sb).await?;
        let e = introspect::edges(&sb, &l.book, &l.state).await?;
        introspect::end(&sb).await?;
        e
    };
    let changes = diff::changes(&diff::compare(&after.state, &empty), &diff::Answers::default(), &after.state, &empty);
    let down = plan::plan(&plan::Wanted::new(&after.state, &empty, &edges, changes, sa.version))?;
    let inverse: Vec<_> = if std::env::var("DOWN").is_ok() {
        down.steps.iter().map(|s| (s.object.clone(), s.sql.clone())).collect()
    } else {
        made.steps.iter().rev().flat_map(|s| s.inverse.iter().map(|i| (i.object.clone(), i.sql.clone()))).collect()
    };
    for (o, sql) in inverse {
        if let Err(e) = sb.batch(&sql).await {
            println!("BACK FAILED {o}\n{sql}\n{e}");
            return Ok(());
        }
    }
    let end = introspect::read(&sb).await?;
    let c = diff::compare(&empty, &end.state);
    if !c.is_empty() {
        println!("LEFT {:?} {:?}", c.created, c.changed);
    }
    println!("ok");
    Ok(())
}
