//! Column defaults: `default="now()"`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::Node;
use crate::kinds::scope::Scope;
use crate::kinds::sql_text;
use crate::kinds::{Context, Folded, Heirs, LockMode, Room, Statement, generic};
use crate::model::{
    Address, Attr, Expr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, State, Within,
    attr,
};
use crate::sql::{self, types, types::Parsed};

use super::inheritance;

/// The expression.
pub const VALUE: Key<Expr> = Key::new("value");

/// What an inherited column says that has no default though its parent's has one.
const NULL: &str = "NULL";

/// The OID of nothing (`InvalidOid`).
const NO_OID: u32 = 0;

static ATTRS: [Attr; 1] = [attr(VALUE, Shape::Expr, Form::Argument, OnChange::Alter, "The expression.")];

pub static KIND: Kind = Kind {
    word: "default",
    sql: "DEFAULT",
    address: Address::Facet,
    within: Within::Of(&["column"]),
    namespace: Namespace::ColumnValue,
    attrs: &ATTRS,
    folds: true,
    doc: "The value that a column gets if an INSERT gives none.",
};

pub struct Default_;
pub static ROOM: Default_ = Default_;

impl Room for Default_ {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn heirs(&self, _: bool) -> Heirs {
        Heirs::All
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        if let Some(arg) = node.args.first() {
            sql_text::no_column(arg, scope);
        }
        generic::parse(&KIND, node, scope);
    }

    fn query(&self, _: Version) -> Option<String> {
        // A default that is inherited unchanged belongs to the parent's column; an inherited column without its parent's default says so
        // by NULL. A default mentions no columns, so its text needs no relation, and PostgreSQL need not look up the names of all its
        // columns (`pg_get_expr`, ruleutils.c).
        Some(
            "SELECT d.oid, d.adrelid, d.adnum, a.attgenerated <> '', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, 0) END, a.attinhcount > 0 AND (NOT a.attislocal OR c.relispartition) \
             AND EXISTS (SELECT FROM pg_inherits i JOIN pg_attribute p ON p.attrelid = i.inhparent AND p.attname = a.attname \
                 JOIN pg_attrdef pd ON pd.adrelid = p.attrelid AND pd.adnum = p.attnum \
                 WHERE i.inhrelid = d.adrelid \
                 AND CASE WHEN a.attgenerated = '' AND p.attgenerated = '' THEN pg_get_expr(pd.adbin, 0) = pg_get_expr(d.adbin, 0) END) \
             FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum JOIN pg_class c ON c.oid = d.adrelid \
             WHERE d.adrelid >= 16384 \
             UNION ALL SELECT DISTINCT 0::oid, a.attrelid, a.attnum, false, 'NULL', false \
             FROM pg_attrdef d JOIN pg_inherits i ON i.inhparent = d.adrelid \
             JOIN pg_attribute p ON p.attrelid = d.adrelid AND p.attnum = d.adnum AND p.attgenerated = '' \
             JOIN pg_attribute a ON a.attrelid = i.inhrelid AND a.attname = p.attname \
             WHERE a.attinhcount > 0 AND NOT a.atthasdef AND a.attidentity = '' \
             ORDER BY 2, 3"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, relation, number, generated) = (row.oid(), row.oid(), row.next::<i16>(), row.next::<bool>());
        let column = book.column(relation, number)?.clone();
        if generated {
            book.add(class::PG_ATTRDEF, oid, column); // what a generated column needs, its column needs
            return None;
        }
        let id = ObjectId::facet(&KIND, column);
        if oid != NO_OID {
            book.add(class::PG_ATTRDEF, oid, id.clone());
        }
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        let expression = row.text();
        let inherited: bool = row.next();
        let mut object = Object::default();
        object.attrs.set(VALUE, Expr::new(expression));
        (!inherited).then_some(object)
    }

    fn inherited_from(&self, id: &ObjectId, state: &State) -> Vec<ObjectId> {
        let columns = id.parent().map(|column| inheritance::origins(state, column)).unwrap_or_default();
        columns.into_iter().map(|column| ObjectId::facet(&KIND, column)).filter(|default| state.has(default)).collect()
    }

    fn fills(&self, id: &ObjectId, _: &State) -> Option<ObjectId> {
        id.parent().cloned()
    }

    fn clause(&self, _: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Option<String> {
        object.get(VALUE).map(|value| format!("DEFAULT {}", value.as_str()))
    }

    /// PostgreSQL keeps a NULL around which it coerces to a length: where the parent's default is taken away, there shall be none.
    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        let value = object.get(VALUE).map_or(NULL, Expr::as_str);
        let none = value == NULL && !self.inherited_from(id, cx.state).is_empty();
        let what = if none { "DROP DEFAULT".to_owned() } else { format!("SET DEFAULT {value}") };
        Ok(vec![statement(id, &what)])
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        _: &[&'static str],
        cx: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        self.create(id, new, &[], cx)
    }

    /// The column has its parent's default then, as if it had never had one of its own.
    fn drop(&self, id: &ObjectId, _: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        let after = cx.across().filter(|after| !after.has(id));
        let origin = after.and_then(|after| after.get(self.inherited_from(id, after).first()?));
        match origin {
            Some(theirs) => self.create(id, theirs, &[], cx),
            None => Ok(vec![statement(id, "DROP DEFAULT")]),
        }
    }
}

/// True if the expression is NULL, perhaps of a type: `NULL::text`.
pub fn is_null(expression: &Expr) -> bool {
    null(expression).is_some()
}

/// True if a default is NULL and PostgreSQL does not keep it for a column of that type: it stores those around which a coercion to a
/// length, a domain or another type stands (`AddRelationNewConstraints`, heap.c).
pub fn is_none(expression: &Expr, sql_type: &Parsed, domain: bool) -> bool {
    let kept = |cast: &Parsed| cast != sql_type;
    null(expression).is_some_and(|cast| sql_type.modifier.is_none() && !domain && !cast.as_ref().is_some_and(kept))
}

/// The type that NULL is cast to, if there is one; `None` if it is not NULL.
fn null(expression: &Expr) -> Option<Option<Parsed>> {
    let bare = |text: &str| text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '(' | ')')).to_string();
    match expression.as_str().split_once("::") {
        None => bare(expression.as_str()).eq_ignore_ascii_case("null").then_some(None),
        Some((value, sql_type)) => {
            let cast = types::parse(&bare(sql_type)).ok()?;
            bare(value).eq_ignore_ascii_case("null").then_some(Some(cast))
        }
    }
}

fn statement(id: &ObjectId, what: &str) -> Statement {
    let column = id.parent();
    let table = column.and_then(|c| c.parent());
    let (Some(column), Some(table)) = (column, table) else { return Statement::new(what) };
    let sql =
        format!("ALTER {} {} ALTER COLUMN {} {what}", table.kind().sql, sql::path(table), sql::name(column.name()));
    Statement::new(sql).locks(LockMode::AccessExclusive, table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_by_any_name() {
        let null = |text: &str| is_null(&Expr::new(text));
        assert!(null("NULL") && null(" (null) ") && null("NULL::character varying") && null("(null)::app.\"Odd\"[]"));
        let none = |text: &str, sql_type: &str| is_none(&Expr::new(text), &types::parse(sql_type).unwrap(), false);
        assert!(none("null", "text") && none("NULL::varchar", "character varying"));
        assert!(!none("NULL::character varying", "text") && !none("NULL", "varchar(5)"));
        assert!(!null("nullif(a, b)") && !null("'null'") && !null("NULL::text || 'x'"));
    }
}
