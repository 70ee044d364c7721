//! Indexes: `index orders_open customer { where "status = 'pending'" }`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node, Problem};
use crate::kinds::constraint::{self, INCLUDE, Naming, TABLESPACE, WITH, include_sql, with_sql};
use crate::kinds::key_constraint::{NULLS_NOT_DISTINCT, nulls_not_distinct_attr};
use crate::kinds::refs::Refs;
use crate::kinds::scope::{Scope, Turn};
use crate::kinds::{Context, Disturbance, Evaluates, Folded, Heirs, LockMode, Reaction, Room, Statement, generic};
use crate::model::{
    Address, Attr, Attrs, Expr, Form, Ident, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Options,
    Result, Shape, State, Within, attr,
};
use crate::sql;

use super::key_parts::{self, KEY, STATISTICS, USING, WHERE};

/// No two rows have the same key.
pub const UNIQUE: Key<bool> = Key::new("unique");
/// The index is left over from a failed build: it slows down writes and is not used.
const INVALID: Key<bool> = Key::new("invalid");

/// Not on the partitions.
const ONLY: Key<bool> = Key::new("only");

/// The partitions that have to be there when an index is made on `ONLY` their parent: without any, it would be valid.
const AFTER: Key<Vec<ObjectId>> = Key::new("after");

static ATTRS: [Attr; 12] = [
    key_parts::key_attr(),
    key_parts::statistics_attr(),
    attr(UNIQUE, Shape::Flag, Form::Property, OnChange::Replace, "No two rows have the same key."),
    key_parts::using_attr(),
    nulls_not_distinct_attr(),
    attr(ONLY, Shape::Flag, Form::Property, OnChange::Replace, "On a partitioned table: its partitions do not get it."),
    constraint::tablespace_attr(),
    constraint::include_attr(),
    constraint::with_attr(),
    key_parts::where_attr(),
    attr(
        AFTER,
        Shape::Refs(&["table"]),
        Form::Custom,
        OnChange::CreationOnly,
        "The partitions that it does not cover; derived.",
    ),
    attr(INVALID, Shape::Flag, Form::Custom, OnChange::Replace, "Left over from a failed build; derived."),
];

pub static KIND: Kind = Kind {
    word: "index",
    sql: "INDEX",
    address: Address::Beside,
    within: Within::Of(&["table", "materialized-view", "column"]),
    namespace: Namespace::Relation,
    attrs: &ATTRS,
    folds: false,
    doc: "A way to find rows quickly. The name comes first; a single argument is a part, and PostgreSQL chooses the name.",
};

pub struct Index;
pub static ROOM: Index = Index;

impl Room for Index {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn heirs(&self, _: bool) -> Heirs {
        Heirs::Partitions
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let has_keys = node.children.iter().any(|c| &*c.name == KEY.name);
        let first_is_part = node.args.first().is_some_and(|a| a.annotation.is_some());
        let named = node.get_prop("name").is_some();
        // `index a` is an index on a: an index without a part cannot be meant.
        let column = scope.parent.clone().filter(|parent| parent.kind().word == "column");
        let enough = usize::from(!has_keys && column.is_none());
        let takes_name = !named && !first_is_part && node.args.len() > enough;
        let turn = if named || takes_name { Turn::Named } else { Turn::Unnamed };
        if scope.put_off(turn, &ROOM, node) {
            return;
        }
        let Some(table) = constraint::table_of(scope) else { return };
        let said = match node.args.first().filter(|_| takes_name) {
            Some(arg) => generic::name_of(arg, scope),
            None => constraint::said_name(node, scope),
        };
        let mut args = node.args.get(usize::from(takes_name)..).unwrap_or_default().to_vec();
        if let (Some(column), Some(arg)) = (&column, args.first()) {
            let problem =
                Problem::new(arg.span, "in a column, an index is about that column alone").label("one too many");
            let help = format!("write `index NAME {} …` in the table", column.name().as_str());
            return scope.problem(problem.help(help));
        }
        if let Some(column) = column.filter(|_| !has_keys) {
            args.push(Arg { span: node.name_span, ..Arg::text(column.name().text()) });
        }
        if args.is_empty() && !has_keys {
            let problem = Problem::new(node.name_span, "this index has no parts");
            scope.problem(problem.label("write `index NAME COLUMN …`"));
            return;
        }
        let mut key = key_parts::parse(&args, node, &table, scope);
        let include = constraint::columns_of_child(node, INCLUDE.name, &table, scope);
        let mut read = Attrs::new();
        read.set(STATISTICS, key_parts::take_statistics(&mut key)).set(KEY, key).set(INCLUDE, include);
        let naming = naming(&read);
        let id = constraint::name(&KIND, &table, said, &naming, node.span, scope);
        constraint::put(&id, node, &[KEY.name, INCLUDE.name], read, scope);
        settle_only(&id, &table, scope);
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = generic::write(id, object, inner);
        if let Some(include) = object.get(INCLUDE) {
            node.children.insert(0, constraint::columns_node(INCLUDE.name, &include));
        }
        key_parts::write_all(&mut node, object, id.schema());
        Some(node)
    }

    fn named_after(&self, _: &ObjectId, object: &Object, _: &State) -> Option<constraint::Naming<'static>> {
        Some(naming(&object.attrs))
    }

    fn query(&self, server: Version) -> Option<String> {
        let nulls = if server.at_least(15) { "i.indnullsnotdistinct" } else { "false" };
        // Indexes of constraints belong to those; indexes of partitions that hang on one of the parent belong to that.
        Some(format!(
            "SELECT i.indexrelid, c.relname, i.indrelid, i.indexrelid, {columns}, i.indisunique, am.amname, {nulls}, c.reloptions, \
             s.spcname, pg_get_expr(i.indpred, i.indrelid), NOT i.indisvalid, c.relkind = 'I', \
             CASE WHEN c.relkind = 'I' AND NOT i.indisvalid \
                  THEN ARRAY(SELECT h.inhrelid FROM pg_inherits h WHERE h.inhparent = i.indrelid ORDER BY h.inhrelid) END \
             FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am am ON am.oid = c.relam \
             LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace \
             WHERE i.indrelid >= 16384 AND NOT i.indisprimary AND NOT i.indisexclusion AND c.relpersistence <> 't' \
             AND (NOT c.relispartition OR i.indexrelid NOT IN (SELECT h.inhrelid FROM pg_inherits h \
                 JOIN pg_index p ON p.indexrelid = h.inhparent WHERE p.indisvalid)) \
             AND i.indexrelid NOT IN (SELECT k.conindid FROM pg_constraint k WHERE k.contype = 'u') \
             ORDER BY i.indrelid, c.relname",
            columns = key_parts::COLUMNS,
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, name, table) = (row.oid(), row.text(), row.oid());
        if book.is_member(class::PG_CLASS, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, Some(book.relation(table)?.clone()), name);
        book.add(class::PG_CLASS, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        let index = row.oid();
        let (mut key, include) = key_parts::read(row, index, book)?;
        let mut attrs = Attrs::new();
        attrs.set(STATISTICS, key_parts::take_statistics(&mut key));
        attrs.set(KEY, key);
        attrs.set(INCLUDE, (!include.is_empty()).then_some(include));
        attrs.set(UNIQUE, row.next::<bool>());
        attrs.set(USING, row.text());
        attrs.set(NULLS_NOT_DISTINCT, row.next::<bool>());
        attrs.set(WITH, Options::some(row.next::<Vec<String>>()));
        attrs.set(TABLESPACE, row.text_opt().map(Ident::new));
        attrs.set(WHERE, row.text_opt().map(Expr::new));
        // On a partitioned table, `ONLY` leaves an index behind that is not valid before every partition has its own.
        let (invalid, partitioned): (bool, bool) = (row.next(), row.next());
        attrs.set(INVALID, invalid && !partitioned);
        attrs.set(ONLY, invalid && partitioned);
        let partitions: Vec<ObjectId> =
            row.next::<Vec<u32>>().into_iter().filter_map(|oid| book.relation(oid).cloned()).collect();
        attrs.set(AFTER, (!partitions.is_empty()).then_some(partitions));
        Some(Object::new(attrs))
    }

    fn follow(&self, object: &mut Object, from: &ObjectId, to: &ObjectId) {
        key_parts::follow(object, from, to);
    }

    fn refers(&self, _: &ObjectId, object: &Object, refs: &mut Refs) {
        key_parts::refers(&object.get(KEY).unwrap_or_default(), refs);
    }

    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        disturbance.unless_retyped()
    }

    fn computes(&self, object: &Object) -> bool {
        key_parts::computes(object)
    }

    fn evaluates(&self, creates: bool) -> Evaluates {
        if creates { Evaluates::AsOwner } else { Evaluates::Parses }
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let Some(table) = id.parent() else { return Ok(vec![]) };
        let unique = if object.is(UNIQUE) { "UNIQUE " } else { "" };
        let only = if object.is(ONLY) { "ONLY " } else { "" };
        let using = object.get(USING).map_or_else(String::new, |m| format!(" USING {}", constraint::name_sql(m)));
        let nulls = if object.is(NULLS_NOT_DISTINCT) { " NULLS NOT DISTINCT" } else { "" };
        let space = object.get(TABLESPACE).map_or_else(String::new, |s| format!(" TABLESPACE {}", sql::name(&s)));
        let filter = object.get(WHERE).map_or_else(String::new, |w| format!(" WHERE {}", w.as_str()));
        let text = format!(
            "CREATE {unique}INDEX {} ON {only}{}{using} ({}){}{nulls}{}{space}{filter}",
            sql::name(id.name()),
            sql::path(table),
            key_parts::sql(&object.get(KEY).unwrap_or_default()),
            include_sql(object),
            with_sql(object),
        );
        let mut out = vec![Statement::new(text).locks(LockMode::Share, table)];
        out.extend(key_parts::alter_statistics(id, &Attrs::new(), object));
        Ok(out)
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        changed: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let mut out = constraint::alter_index(id, old, new, changed);
        out.extend(key_parts::alter_statistics(id, old, new));
        Ok(out)
    }

    fn rename(&self, from: &ObjectId, to: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        let sql = format!("ALTER INDEX {} RENAME TO {}", sql::path(from), sql::name(to.name()));
        Ok(vec![Statement::new(sql).locks(LockMode::ShareUpdateExclusive, from.parent().unwrap_or(from))])
    }

    fn drop(&self, id: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        let statement = Statement::new(format!("DROP {}", sql::target(id)));
        Ok(vec![statement.locks(LockMode::AccessExclusive, id.parent().unwrap_or(id))])
    }
}

/// True if an index differs in nothing but that a build of it failed, which files never say.
pub fn is_only_broken(id: &ObjectId, changed: &[&'static str]) -> bool {
    id.is(&KIND) && changed == [INVALID.name]
}

/// The indexes of a database that are left over from failed builds.
pub fn invalid(state: &State) -> impl Iterator<Item = &ObjectId> {
    state.iter().filter(|(id, object)| id.is(&KIND) && object.is(INVALID)).map(|(id, _)| id)
}

/// `only` means something where there are partitions.
fn settle_only(id: &ObjectId, table: &ObjectId, scope: &mut Scope<'_>) {
    let state = &mut scope.load.state;
    if !state.get(id).is_some_and(|index| index.is(ONLY)) {
        return;
    }
    let tables = state.iter().map(|(id, _)| id).filter(|id| id.is(table.kind()));
    let partitions: Vec<ObjectId> =
        tables.filter(|other| constraint::parents(state, other).contains(table)).cloned().collect();
    let Some(index) = state.objects_mut().get_mut(id) else { return };
    index.attrs.set(ONLY, !partitions.is_empty());
    index.attrs.set(AFTER, (!partitions.is_empty()).then_some(partitions));
}

fn naming(attrs: &Attrs) -> Naming<'static> {
    Naming { addition: Some(key_parts::part_names(attrs)), label: "idx" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{alter, create, load, round_trip};

    #[test]
    fn every_form_is_written_and_created() {
        let state = round_trip(
            "table t {\n    column a integer\n    column b text\n    index i1 b {\n        where \"a > 0\"\n    }\n    index i2 a (sql)\"lower(b)\" unique=#true nulls-not-distinct=#true {\n        include b\n        with fillfactor=70\n    }\n    index i3 using=gist tablespace=fast {\n        key b order=desc nulls=last collation=C opclass=gist_trgm_ops {\n            opclass-options siglen=32\n        }\n        key a nulls=first\n    }\n}\n",
        );
        assert_eq!(
            create(&state, "index"),
            [
                "CREATE INDEX i1 ON public.t (b) WHERE a > 0",
                "CREATE UNIQUE INDEX i2 ON public.t (a, (lower(b))) INCLUDE (b) NULLS NOT DISTINCT WITH (fillfactor='70')",
                "CREATE INDEX i3 ON public.t USING gist (b COLLATE \"C\" gist_trgm_ops (siglen='32') DESC NULLS LAST, a NULLS FIRST) TABLESPACE fast",
            ]
        );
    }

    #[test]
    fn names_that_are_left_out_are_postgresqls() {
        let (state, problems) = load(
            "table t_a_idx {\n    column x integer\n}\ntable t {\n    column a integer\n    column b text\n    index a\n    index (sql)\"lower(b)\" b\n    index b { include a }\n}\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        let names: Vec<&str> = state.iter().filter(|(id, _)| id.is(&KIND)).map(|(id, _)| id.name().as_str()).collect();
        assert_eq!(names, ["t_a_idx1", "t_lower_b_idx", "t_b_a_idx"]);
    }

    #[test]
    fn storage_is_altered_and_all_else_replaced() {
        let file = |index: &str| format!("table t {{\n    column a integer\n    {index}\n}}\n");
        assert_eq!(
            alter(&file("index i a"), &file("index i a tablespace=x { with fillfactor=70 }"), "index"),
            ["ALTER INDEX public.i SET (fillfactor='70')", "ALTER INDEX public.i SET TABLESPACE x"]
        );
        assert_eq!(alter(&file("index i a"), &file("index i a using=hash"), "index"), ["replace because of using"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let problems = |index: &str| load(&format!("table t {{\n    column amount integer\n    {index}\n}}\n")).1;
        assert_eq!(problems("index i amonut"), ["table public.t has no column `amonut`"]);
        assert_eq!(problems("index i \"lower(amount)\""), ["table public.t has no such column"]);
        assert_eq!(problems("index i amount; index i amount").len(), 1);
    }
}
