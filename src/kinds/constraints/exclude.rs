//! Exclusion constraints: `exclude using=gist { key room with="="; key during with="&&" }`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Node, Problem};
use crate::kinds::key_parts::{self, KEY, STATISTICS, USING, WHERE};
use crate::kinds::refs::Refs;
use crate::kinds::scope::{Scope, Turn};
use crate::kinds::{Context, Disturbance, Evaluates, Folded, Heirs, LockMode, Reaction, Room, Statement, generic};
use crate::model::{
    Address, Attr, Attrs, Expr, Ident, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Options, Result, State,
    Within,
};
use crate::sql;

use super::constraint::{
    self, DEFERRABLE, INCLUDE, INITIALLY_DEFERRED, Naming, TABLESPACE, WITH, deferrable_sql, include_sql, with_sql,
};

static ATTRS: [Attr; 9] = [
    key_parts::key_attr(),
    key_parts::statistics_attr(),
    key_parts::using_attr(),
    constraint::deferrable_attr(OnChange::Replace),
    constraint::initially_deferred_attr(OnChange::Replace),
    constraint::tablespace_attr(),
    constraint::include_attr(),
    constraint::with_attr(),
    key_parts::where_attr(),
];

pub static KIND: Kind = Kind {
    word: "exclude",
    sql: "CONSTRAINT",
    address: Address::NamedOn,
    within: Within::Of(&["table"]),
    namespace: Namespace::IndexConstraint,
    attrs: &ATTRS,
    folds: true,
    doc: "For any two rows, at least one of these operators must not return true.",
};

pub struct Exclude;
pub static ROOM: Exclude = Exclude;

impl Room for Exclude {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn heirs(&self, _: bool) -> Heirs {
        Heirs::Partitions
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        let named = node.get_prop("name").is_some() || !node.args.is_empty();
        if scope.put_off(if named { Turn::Named } else { Turn::Unnamed }, &ROOM, node) {
            return;
        }
        let Some(table) = scope.parent.clone() else { return };
        let said = match node.args.as_slice() {
            [] => constraint::said_name(node, scope),
            [arg] => generic::name_of(arg, scope),
            [_, arg, ..] => {
                let problem = Problem::new(arg.span, "the parts of an exclusion constraint are `key` children");
                scope.problem(problem.help("write `key COLUMN with=\"OPERATOR\"`"));
                return;
            }
        };
        let mut key = key_parts::parse(&[], node, &table, scope);
        if key.is_empty() || !key_parts::have_operators(&key) {
            let problem = Problem::new(node.name_span, "every part of an exclusion constraint has an operator");
            scope.problem(problem.label("write `key COLUMN with=\"OPERATOR\"` for each part"));
            return;
        }
        let include = constraint::columns_of_child(node, INCLUDE.name, &table, scope);
        let mut read = Attrs::new();
        read.set(STATISTICS, key_parts::take_statistics(&mut key)).set(KEY, key).set(INCLUDE, include);
        let id = constraint::name(&KIND, &table, said, &naming(&read), node.span, scope);
        constraint::put(&id, node, &[KEY.name, INCLUDE.name], read, scope);
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = constraint::write(id, object, inner, &naming(&object.attrs));
        key_parts::write_all(&mut node, object, id.schema());
        Some(node)
    }

    fn named_after(&self, _: &ObjectId, object: &Object, _: &State) -> Option<constraint::Naming<'static>> {
        Some(naming(&object.attrs))
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(format!(
            "SELECT k.oid, k.conname, k.conindid, i.indrelid, i.indexrelid, {columns}, am.amname, \
             ARRAY(SELECT (SELECT n.nspname::text FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace WHERE o.oid = e.op) \
                 FROM unnest(k.conexclop) WITH ORDINALITY AS e(op, at) ORDER BY e.at), \
             ARRAY(SELECT (SELECT o.oprname::text FROM pg_operator o WHERE o.oid = e.op) \
                 FROM unnest(k.conexclop) WITH ORDINALITY AS e(op, at) ORDER BY e.at), \
             k.condeferrable, k.condeferred, c.reloptions, s.spcname, pg_get_expr(i.indpred, i.indrelid) \
             FROM pg_constraint k JOIN pg_index i ON i.indexrelid = k.conindid JOIN pg_class c ON c.oid = i.indexrelid \
             JOIN pg_am am ON am.oid = c.relam LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace \
             WHERE k.contype = 'x' AND k.conrelid >= 16384 AND k.conislocal AND k.conparentid = 0 \
             ORDER BY k.conrelid, k.conname",
            columns = key_parts::COLUMNS,
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, name, index, table) = (row.oid(), row.text(), row.oid(), row.oid());
        let id = ObjectId::new(&KIND, Some(book.relation(table)?.clone()), name);
        book.add(class::PG_CONSTRAINT, oid, id.clone());
        book.add(class::PG_CLASS, index, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        let index = row.oid();
        let (mut key, include) = key_parts::read(row, index, book)?;
        let mut attrs = Attrs::new();
        attrs.set(USING, row.text());
        let (schemas, operators): (Vec<String>, Vec<String>) = (row.next(), row.next());
        key_parts::set_operators(&mut key, &schemas, &operators);
        attrs.set(STATISTICS, key_parts::take_statistics(&mut key));
        attrs.set(KEY, key);
        attrs.set(INCLUDE, (!include.is_empty()).then_some(include));
        attrs.set(DEFERRABLE, row.next::<bool>());
        attrs.set(INITIALLY_DEFERRED, row.next::<bool>());
        attrs.set(WITH, Options::some(row.next::<Vec<String>>()));
        attrs.set(TABLESPACE, row.text_opt().map(Ident::new));
        attrs.set(WHERE, row.text_opt().map(Expr::new));
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

    fn clause(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Option<String> {
        Some(constraint::clause(id, &definition(object)))
    }

    fn rest(&self, id: &ObjectId, object: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(key_parts::alter_statistics(id, &Attrs::new(), object))
    }

    fn evaluates(&self, creates: bool) -> Evaluates {
        if creates { Evaluates::AsOwner } else { Evaluates::Parses }
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let mut out = constraint::add(id, LockMode::AccessExclusive, &definition(object));
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
        Ok(constraint::rename(from, to))
    }

    fn drop(&self, id: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(constraint::drop(id))
    }
}

fn naming(attrs: &Attrs) -> Naming<'static> {
    Naming { addition: Some(key_parts::part_names(attrs)), label: "excl" }
}

fn definition(object: &Object) -> String {
    let using = object.get(USING).map_or_else(String::new, |m| format!(" USING {}", constraint::name_sql(m)));
    let space =
        object.get(TABLESPACE).map_or_else(String::new, |s| format!(" USING INDEX TABLESPACE {}", sql::name(&s)));
    let filter = object.get(WHERE).map_or_else(String::new, |w| format!(" WHERE ({})", w.as_str()));
    let key = key_parts::sql(&object.get(KEY).unwrap_or_default());
    let (include, with, deferrable) = (include_sql(object), with_sql(object), deferrable_sql(object));
    format!("EXCLUDE{using} ({key}){include}{with}{space}{filter}{deferrable}")
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{create, load, round_trip};

    #[test]
    fn every_form_is_written_and_created() {
        let state = round_trip(
            "table t {\n    column r integer\n    column d tstzrange\n    exclude using=gist deferrable=#true {\n        key r with=\"=\"\n        key (sql)\"lower(d)\" opclass=app.odd_ops with=\"app.=\"\n        where \"r > 0\"\n    }\n}\n",
        );
        assert_eq!(
            create(&state, "exclude"),
            [
                "ALTER TABLE public.t ADD CONSTRAINT t_r_lower_excl EXCLUDE USING gist (r WITH =, (lower(d)) app.odd_ops WITH OPERATOR(app.=)) WHERE (r > 0) DEFERRABLE"
            ]
        );
    }

    #[test]
    fn parts_need_operators() {
        let (_, problems) = load("table t {\n    column r integer\n    exclude using=gist { key r }\n}\n");
        assert_eq!(problems, ["every part of an exclusion constraint has an operator"]);
    }
}
