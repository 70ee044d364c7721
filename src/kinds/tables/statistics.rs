//! Extended statistics: `statistics orders_place country city from=orders`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node, Problem, Prop};
use crate::kinds::held::Held;
use crate::kinds::key_parts::{self, KEY};
use crate::kinds::rights::{self, Demand};
use crate::kinds::scope::{Scope, Turn};
use crate::kinds::{Context, Disturbance, Folded, LockMode, Reaction, Room, Statement, constraint, generic};
use crate::model::{
    Address, Attr, Attrs, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Text, Within,
    attr,
};
use crate::sql;

const FROM: Key<ObjectId> = Key::new("from");
const KINDS: Key<Vec<Text>> = Key::new("kinds");
const STATISTICS: Key<i64> = Key::new("statistics");

/// What can have statistics.
const RELATIONS: &[&str] = &["table", "materialized-view", "foreign-table"];
/// In the order in which they are written, with their letters in the catalog.
const WORDS: [(&str, char); 3] = [("ndistinct", 'd'), ("dependencies", 'f'), ("mcv", 'm')];

static ATTRS: [Attr; 4] = [
    key_parts::parts_attr("Columns and (since 14) expressions, in any order: `a (sql)\"lower(b)\"`."),
    attr(
        FROM,
        Shape::Ref(RELATIONS),
        Form::Custom,
        OnChange::Replace,
        "The table that has the columns, as a property.",
    ),
    attr(STATISTICS, Shape::Int, Form::Property, OnChange::Alter, "The statistics target."),
    attr(
        KINDS,
        Shape::Texts,
        Form::Child,
        OnChange::Replace,
        "What is collected: ndistinct, dependencies, mcv; all if none are given.",
    ),
];

pub static KIND: Kind = Kind {
    word: "statistics",
    sql: "STATISTICS",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "Statistics on combinations of columns, which ANALYZE collects for better query plans.",
};

static HELD: Held = Held::in_schema(class::PG_STATISTIC_EXT, "pg_statistic_ext", "stx");

pub struct Statistics;
pub static ROOM: Statistics = Statistics;

impl Room for Statistics {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&HELD)
    }

    fn since(&self, object: &Object) -> Option<(u32, String)> {
        key_parts::computes(object).then(|| (14, "statistics on an expression".to_string()))
    }

    fn rights(&self, _: &ObjectId, object: &Object, changed: Option<&[&'static str]>) -> Vec<Demand> {
        object.get(FROM).filter(|_| changed.is_none()).map(rights::owner).into_iter().collect()
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        // Columns are known once all tables are read.
        if scope.put_off(Turn::Named, &ROOM, node) {
            return;
        }
        let Some(name) = generic::take_name(node, scope) else { return };
        let Some(from) = node.get_prop(FROM.name) else {
            let problem = Problem::new(node.name_span, "these statistics are of no table");
            scope.problem(problem.label("write `from=TABLE`"));
            return;
        };
        let Some(table) = from.as_text().cloned().and_then(|text| scope.resolve(RELATIONS, &text, from.span)) else {
            return;
        };
        let args = node.args.get(1..).unwrap_or_default();
        if args.is_empty() {
            let problem = Problem::new(node.name_span, "these statistics have no columns");
            scope.problem(problem.label("write `statistics NAME COLUMN COLUMN … from=TABLE`"));
            return;
        }
        let mut parts: Vec<Attrs> = args.iter().filter_map(|arg| key_parts::part(arg, &table, scope)).collect();
        key_parts::settle_order(&mut parts);
        let id = scope.id(&ROOM, name);
        let mut rest = node.clone();
        rest.args.truncate(1);
        rest.props.retain(|p| &*p.name != FROM.name);
        let Some(object) = generic::parse_as(id, &rest, 1, scope) else { return };
        let said: Vec<Text> = object.get(KINDS).unwrap_or_default().into_iter().cloned().collect();
        let kinds = if parts.len() > 1 { ordered(|word, _| said.iter().any(|s| &**s == word)) } else { None };
        object.attrs.set(KEY, parts).set(FROM, table).set(KINDS, kinds);
        if let Some(wrong) = said.iter().find(|said| !WORDS.iter().any(|(word, _)| *word == &***said)) {
            let problem = Problem::new(node.span, format!("`{wrong}` is not a kind of statistics"));
            scope.problem(problem.help("the kinds are ndistinct, dependencies and mcv"));
        }
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = generic::write(id, object, inner);
        key_parts::write(&mut node, &object.get(KEY).unwrap_or_default(), id.schema());
        if let Some(table) = object.get(FROM) {
            let value = Arg::text(generic::reference_text(table, id.schema()));
            node.props.insert(0, Prop::new(FROM.name, value));
        }
        Some(node)
    }

    fn sort(&self, object: &mut Object) {
        let mut parts: Vec<Attrs> = object.get(KEY).unwrap_or_default().into_iter().cloned().collect();
        key_parts::settle_order(&mut parts);
        object.attrs.set(KEY, parts);
    }

    fn query(&self, server: Version) -> Option<String> {
        let expressions = if server.at_least(14) { "pg_get_expr(s.stxexprs, s.stxrelid)" } else { "NULL::text" };
        Some(format!(
            "SELECT s.oid, s.stxnamespace, s.stxname, s.stxrelid, s.stxkeys::int2[], {expressions}, s.stxkind::\"char\"[]::text[], \
             nullif(s.stxstattarget, -1)::int8 FROM pg_statistic_ext s ORDER BY s.oid"
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, schema, name) = (row.oid(), row.oid(), row.text());
        if book.is_member(class::PG_STATISTIC_EXT, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, Some(book.schema(schema)?.clone()), name);
        book.add(class::PG_STATISTIC_EXT, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        let relation = row.oid();
        let mut attrs = Attrs::new();
        attrs.set(FROM, book.relation(relation)?.clone());
        let columns = constraint::columns_by_number(book, relation, &row.next::<Vec<i16>>())?;
        let parts = key_parts::unordered(columns, row.text_opt().as_deref());
        let letters: Vec<String> = row.next();
        let several = parts.len() > 1;
        attrs.set(KEY, parts);
        attrs.set(KINDS, ordered(|_, letter| letters.iter().any(|l| l.starts_with(letter))).filter(|_| several));
        attrs.set(STATISTICS, row.next_opt::<i64>());
        Some(Object::new(attrs))
    }

    fn relation(&self, _: &ObjectId, object: &Object) -> Option<ObjectId> {
        object.get(FROM).cloned()
    }

    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        disturbance.unless_retyped()
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        let Some(table) = object.get(FROM) else { return Ok(vec![]) };
        let kinds: Vec<&str> = object.get(KINDS).unwrap_or_default().into_iter().map(|kind| &**kind).collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
        let parts = key_parts::sql(&object.get(KEY).unwrap_or_default());
        let text = format!("CREATE STATISTICS {}{kinds} ON {parts} FROM {}", sql::path(id), sql::path(table));
        let mut out = vec![Statement::new(text).locks(LockMode::ShareUpdateExclusive, table)];
        if object.get(STATISTICS).is_some() {
            out.extend(self.alter(id, &Object::default(), object, &[STATISTICS.name], cx)?);
        }
        Ok(out)
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        changed: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        if !changed.contains(&STATISTICS.name) {
            return Ok(vec![]);
        }
        let target = new.get(STATISTICS).unwrap_or(-1);
        Ok(vec![Statement::new(format!("ALTER {} SET STATISTICS {target}", sql::target(id)))])
    }

    fn drop(&self, id: &ObjectId, object: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        let statement = Statement::new(format!("DROP {}", sql::target(id)));
        Ok(vec![match object.get(FROM) {
            Some(table) => statement.locks(LockMode::ShareUpdateExclusive, table),
            None => statement,
        }])
    }
}

/// The words for which something is true; all of them are the default.
fn ordered(has: impl Fn(&str, char) -> bool) -> Option<Vec<Text>> {
    let some: Vec<Text> =
        WORDS.iter().filter(|(word, letter)| has(word, *letter)).map(|(word, _)| Text::from(*word)).collect();
    (!some.is_empty() && some.len() < WORDS.len()).then_some(some)
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, load, round_trip};

    const TABLE: &str = "table t {\n    column a integer\n    column b text\n}\n";

    #[test]
    fn every_form_is_written_and_created() {
        let state = round_trip(&format!(
            "{TABLE}\nstatistics s1 a b from=t\n\nstatistics s2 a (sql)\"lower(b)\" from=t statistics=500 {{\n    kinds ndistinct mcv\n}}\n\nstatistics s3 (sql)\"a + 1\" from=t\n"
        ));
        assert_eq!(
            create(&state, "statistics"),
            [
                "CREATE STATISTICS public.s1 ON a, b FROM public.t",
                "CREATE STATISTICS public.s2 (ndistinct, mcv) ON a, (lower(b)) FROM public.t",
                "ALTER STATISTICS public.s2 SET STATISTICS 500",
                "CREATE STATISTICS public.s3 ON (a + 1) FROM public.t",
            ]
        );
    }

    #[test]
    fn the_target_alters_and_order_is_nothing() {
        let (old, new) =
            (format!("{TABLE}statistics s b a from=t"), format!("{TABLE}statistics s a b from=t statistics=9"));
        assert_eq!(alter(&old, &new, "statistics"), ["ALTER STATISTICS public.s SET STATISTICS 9"]);
        assert_eq!(alter(&new, &old, "statistics"), ["ALTER STATISTICS public.s SET STATISTICS -1"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let problems = |text: &str| load(&format!("{TABLE}{text}\n")).1;
        assert_eq!(problems("statistics s a b"), ["these statistics are of no table"]);
        assert_eq!(problems("statistics s from=t"), ["these statistics have no columns"]);
        assert_eq!(problems("statistics s a c from=t"), ["table public.t has no column `c`"]);
        assert_eq!(problems("statistics s a b from=t { kinds most }"), ["`most` is not a kind of statistics"]);
    }
}
