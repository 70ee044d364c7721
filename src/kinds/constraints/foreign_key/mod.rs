//! Foreign keys: `foreign-key customer { references customers id on-delete=cascade }`, or `references …` in a column.

mod files;

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::Node;
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Evaluates, Folded, Heirs, LockMode, Room, Statement, find, generic, inheritance};
use crate::model::{
    Address, Attr, Attrs, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, State, Text,
    Within, attr,
};
use crate::sql;

use super::constraint::{self, COLUMNS, DEFERRABLE, INITIALLY_DEFERRED, NOT_ENFORCED, NOT_VALID, column_list};

const REFERENCES: Key<ObjectId> = Key::new("references");
const TARGET: Key<Vec<ObjectId>> = Key::new("target");
const MATCH: Key<Text> = Key::new("match");
const ON_DELETE: Key<Text> = Key::new("on-delete");
const ON_DELETE_COLUMNS: Key<Vec<ObjectId>> = Key::new("on-delete-columns");
const ON_UPDATE: Key<Text> = Key::new("on-update");
const PERIOD: Key<bool> = Key::new("period");
const UNIQUE_KEY: Key<ObjectId> = Key::new("key");

const ACTIONS: &[&str] = &["no-action", "restrict", "cascade", "set-null", "set-default"];

static ATTRS: [Attr; 13] = [
    constraint::columns_attr(),
    attr(REFERENCES, Shape::Ref(&["table"]), Form::Custom, OnChange::Replace, "The referenced table."),
    attr(
        TARGET,
        Shape::Refs(&["column"]),
        Form::Custom,
        OnChange::Replace,
        "Its columns; its primary key if left out.",
    ),
    attr(
        MATCH,
        Shape::Word(&["simple", "full"]),
        Form::Property,
        OnChange::Replace,
        "How NULLs are handled in a key of several columns.",
    )
    .default("simple"),
    attr(
        ON_DELETE,
        Shape::Word(ACTIONS),
        Form::Property,
        OnChange::Replace,
        "What happens when the referenced row is deleted.",
    )
    .default("no-action"),
    attr(
        ON_UPDATE,
        Shape::Word(ACTIONS),
        Form::Property,
        OnChange::Replace,
        "What happens when the referenced key changes.",
    )
    .default("no-action"),
    attr(
        ON_DELETE_COLUMNS,
        Shape::Refs(&["column"]),
        Form::Custom,
        OnChange::Replace,
        "The columns that `set-null` and `set-default` set (since 15).",
    )
    .since(15),
    attr(
        PERIOD,
        Shape::Flag,
        Form::Property,
        OnChange::Replace,
        "The last column is a range that must be covered (since 18).",
    )
    .since(18),
    constraint::deferrable_attr(OnChange::Alter),
    constraint::initially_deferred_attr(OnChange::Alter),
    attr(NOT_VALID, Shape::Flag, Form::Property, OnChange::Alter, "Existing rows were not checked."),
    attr(NOT_ENFORCED, Shape::Flag, Form::Property, OnChange::Replace, "Declared, but never checked (since 18).")
        .since(18),
    attr(
        UNIQUE_KEY,
        Shape::Ref(&["primary-key", "unique", "index"]),
        Form::Custom,
        OnChange::CreationOnly,
        "The key that it depends on; derived.",
    ),
];

pub static KIND: Kind = Kind {
    word: "foreign-key",
    sql: "CONSTRAINT",
    address: Address::NamedOn,
    within: Within::Of(&["table", "column"]),
    namespace: Namespace::Constraint,
    attrs: &ATTRS,
    folds: true,
    doc: "Values of these columns must exist as a key of another table.",
};

pub struct ForeignKey;
pub static ROOM: ForeignKey = ForeignKey;

impl Room for ForeignKey {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn heirs(&self, _: bool) -> Heirs {
        Heirs::Partitions
    }

    fn words(&self) -> &'static [&'static str] {
        &["references"]
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        files::parse(node, scope);
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        files::write(id, object, inner)
    }

    fn named_after(&self, _: &ObjectId, object: &Object, _: &State) -> Option<constraint::Naming<'static>> {
        Some(files::naming(&object.attrs))
    }

    fn query(&self, server: Version) -> Option<String> {
        let only = if server.at_least(15) { "c.confdelsetcols" } else { "NULL::int2[]" };
        let (enforced, period) = if server.at_least(18) { ("c.conenforced", "c.conperiod") } else { ("true", "false") };
        // Names, too, where the other table is one that is not managed.
        Some(format!(
            "SELECT c.oid, c.conrelid, c.conname, c.conrelid, c.conkey, c.confrelid, c.confkey, n.nspname, f.relname, \
             CASE WHEN c.confrelid < 16384 OR n.nspname = 'setpoint' \
                      OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 1259 AND d.objid = c.confrelid AND d.deptype = 'e') \
                  THEN (SELECT array_agg(a.attname::text ORDER BY array_position(c.confkey, a.attnum)) FROM pg_attribute a \
                      WHERE a.attrelid = c.confrelid AND a.attnum = ANY (c.confkey)) END, \
             c.conindid, c.confmatchtype, c.confdeltype, c.confupdtype, {only}, {period}, c.condeferrable, c.condeferred, \
             c.convalidated, {enforced} \
             FROM pg_constraint c JOIN pg_class f ON f.oid = c.confrelid JOIN pg_namespace n ON n.oid = f.relnamespace \
             WHERE c.contype = 'f' AND c.conrelid >= 16384 AND c.conislocal AND c.conparentid = 0 \
             ORDER BY c.conrelid, c.conname"
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, relation, name) = (row.oid(), row.oid(), row.text());
        let id = ObjectId::new(&KIND, Some(book.relation(relation)?.clone()), name);
        book.add(class::PG_CONSTRAINT, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        let relation = row.oid();
        let mut attrs = Attrs::new();
        attrs.set(COLUMNS, constraint::columns_by_number(book, relation, &row.next::<Vec<i16>>())?);
        let (other, numbers) = (row.oid(), row.next::<Vec<i16>>());
        let (schema, name, columns) = (row.text(), row.text(), row.next::<Vec<String>>());
        let other = match book.relation(other) {
            Some(id) => {
                attrs.set(TARGET, constraint::columns_by_number(book, other, &numbers)?);
                id.clone()
            }
            None => {
                let schema = ObjectId::new(find("schema")?.kind(), None, schema);
                let id = ObjectId::new(find("table")?.kind(), Some(schema), name);
                let columns = columns.into_iter().map(|c| constraint::column_id(&id, c));
                attrs.set(TARGET, columns.collect::<Option<Vec<_>>>()?);
                id
            }
        };
        attrs.set(REFERENCES, other);
        attrs.set(UNIQUE_KEY, book.get(class::PG_CLASS, row.oid()).cloned());
        attrs.set(MATCH, (row.char() == 'f').then(|| "full".into()));
        attrs.set(ON_DELETE, action(row.char()));
        attrs.set(ON_UPDATE, action(row.char()));
        let only: Vec<i16> = row.next();
        let only = constraint::columns_by_number(book, relation, &only)?;
        attrs.set(ON_DELETE_COLUMNS, (!only.is_empty()).then_some(only));
        attrs.set(PERIOD, row.next::<bool>());
        attrs.set(DEFERRABLE, row.next::<bool>());
        attrs.set(INITIALLY_DEFERRED, row.next::<bool>());
        let (valid, enforced): (bool, bool) = (row.next(), row.next());
        attrs.set(NOT_VALID, !valid && enforced);
        attrs.set(NOT_ENFORCED, !enforced);
        Some(Object::new(attrs))
    }

    /// Nobody may write to it when the key is made, nor read it when the triggers go that the key has there.
    fn reaches(&self, object: &Object, drops: bool) -> Option<(LockMode, ObjectId)> {
        let mode = if drops { LockMode::AccessExclusive } else { LockMode::ShareRowExclusive };
        Some((mode, object.get(REFERENCES)?.clone()))
    }

    fn on_change(&self, attr: &'static Attr, _: &Object, new: &Object) -> OnChange {
        if attr.name == NOT_VALID.name && new.is(NOT_VALID) { OnChange::Replace } else { attr.on_change }
    }

    fn inherited_from(&self, id: &ObjectId, state: &State) -> Vec<ObjectId> {
        inheritance::shared(state, id).into_iter().collect()
    }

    fn clause(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Option<String> {
        (!object.is(NOT_VALID)).then(|| constraint::clause(id, &definition(object)))
    }

    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Constants
    }

    /// Locks the other table as much as its own.
    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(constraint::add(id, LockMode::ShareRowExclusive, &definition(object)))
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        changed: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let mut out = Vec::new();
        if changed.contains(&DEFERRABLE.name) || changed.contains(&INITIALLY_DEFERRED.name) {
            let how = if new.is(DEFERRABLE) { constraint::deferrable_sql(new) } else { " NOT DEFERRABLE" };
            let what = format!("ALTER CONSTRAINT {}{how}", sql::name(id.name()));
            out.push(constraint::alter_parent(id, LockMode::AccessExclusive, &what));
        }
        if changed.contains(&NOT_VALID.name) && !new.is(NOT_VALID) {
            out.push(constraint::validate(id));
        }
        Ok(out)
    }

    fn rename(&self, from: &ObjectId, to: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(constraint::rename(from, to))
    }

    fn drop(&self, id: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(constraint::drop(id))
    }
}

fn action(letter: char) -> Option<Text> {
    match letter {
        'r' => Some("restrict".into()),
        'c' => Some("cascade".into()),
        'n' => Some("set-null".into()),
        'd' => Some("set-default".into()),
        _ => None,
    }
}

fn definition(object: &Object) -> String {
    let list = |key: Key<Vec<ObjectId>>| {
        let columns: Vec<ObjectId> = object.get(key).unwrap_or_default().into_iter().cloned().collect();
        match columns.split_last().filter(|_| object.is(PERIOD)) {
            Some((last, [])) => format!("PERIOD {}", column_list([last])),
            Some((last, rest)) => format!("{}, PERIOD {}", column_list(rest), column_list([last])),
            None => column_list(&columns),
        }
    };
    let other = object.get(REFERENCES).map_or_else(String::new, sql::path);
    let mut out = format!("FOREIGN KEY ({}) REFERENCES {other} ({})", list(COLUMNS), list(TARGET));
    if let Some(kind) = object.get(MATCH) {
        out.push_str(&format!(" MATCH {}", kind.to_uppercase()));
    }
    if let Some(action) = object.get(ON_UPDATE) {
        out.push_str(&format!(" ON UPDATE {}", words(action)));
    }
    if let Some(action) = object.get(ON_DELETE) {
        out.push_str(&format!(" ON DELETE {}", words(action)));
    }
    if let Some(only) = object.get(ON_DELETE_COLUMNS) {
        out.push_str(&format!(" ({})", column_list(only)));
    }
    out.push_str(constraint::deferrable_sql(object));
    for (flag, words) in [(NOT_VALID, " NOT VALID"), (NOT_ENFORCED, " NOT ENFORCED")] {
        if object.is(flag) {
            out.push_str(words);
        }
    }
    out
}

fn words(action: &str) -> String {
    action.replace('-', " ").to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{alter, create, load, round_trip};

    #[test]
    fn long_and_short_form_mean_the_same() {
        let other = "table c {\n    column id bigint\n    primary-key id\n}\n";
        let (long, problems) = load(&format!(
            "table o {{\n    column c bigint\n    foreign-key c {{ references c id on-delete=cascade }}\n}}\n{other}"
        ));
        assert_eq!(problems, Vec::<String>::new());
        let (short, problems) =
            load(&format!("table o {{\n    column c bigint {{ references c on-delete=cascade }}\n}}\n{other}"));
        assert_eq!(problems, Vec::<String>::new());
        let ddl =
            ["ALTER TABLE public.o ADD CONSTRAINT o_c_fkey FOREIGN KEY (c) REFERENCES public.c (id) ON DELETE CASCADE"];
        assert_eq!(create(&long, "foreign-key"), ddl);
        assert_eq!(create(&short, "foreign-key"), ddl);
        let (_, object) = short.iter().find(|(id, _)| id.is(&KIND)).unwrap();
        assert_eq!(object.get(UNIQUE_KEY).unwrap().name().as_str(), "c_pkey");
    }

    #[test]
    fn every_form_is_written_and_created() {
        let state = round_trip(
            "table a {\n    column x integer\n    column y integer\n    unique x y\n}\n\ntable b {\n    column x integer\n    column y integer\n    foreign-key x y name=odd initially-deferred=#true {\n        references a x y match=full on-delete=set-null on-update=restrict {\n            on-delete-columns y\n        }\n    }\n    foreign-key y x not-valid=#true {\n        references a y x\n    }\n}\n",
        );
        assert_eq!(
            create(&state, "foreign-key"),
            [
                "ALTER TABLE public.b ADD CONSTRAINT odd FOREIGN KEY (x, y) REFERENCES public.a (x, y) MATCH FULL ON UPDATE RESTRICT ON DELETE SET NULL (y) DEFERRABLE INITIALLY DEFERRED",
                "ALTER TABLE public.b ADD CONSTRAINT b_y_x_fkey FOREIGN KEY (y, x) REFERENCES public.a (y, x) NOT VALID",
            ]
        );
    }

    #[test]
    fn deferring_and_validating_alter() {
        let file = |flags: &str| {
            format!(
                "table t {{\n    column a integer\n    column id integer\n    primary-key id\n    foreign-key a {flags} {{ references t }}\n}}\n"
            )
        };
        let table = "ALTER TABLE public.t";
        assert_eq!(
            alter(&file("not-valid=#true"), &file("deferrable=#true"), "foreign-key"),
            [format!("{table} ALTER CONSTRAINT t_a_fkey DEFERRABLE"), format!("{table} VALIDATE CONSTRAINT t_a_fkey")]
        );
        assert_eq!(alter(&file(""), &file("not-valid=#true"), "foreign-key"), ["replace because of not-valid"]);
        assert_eq!(
            alter(&file("deferrable=#true"), &file(""), "foreign-key"),
            [format!("{table} ALTER CONSTRAINT t_a_fkey NOT DEFERRABLE")]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let problems = |key: &str| {
            load(&format!("table u {{\n    column id integer\n    unique id\n}}\ntable t {{\n    column a integer\n    {key}\n}}\n")).1
        };
        assert_eq!(problems("foreign-key a { references u }"), ["table public.u has no primary key"]);
        assert_eq!(problems("foreign-key a { references v id }"), ["there is no table `v`"]);
        assert_eq!(problems("foreign-key a { references u id id }"), ["1 column cannot refer to 2"]);
        assert_eq!(problems("foreign-key a { references u id on-delete=explode }").len(), 1);
        assert_eq!(problems("foreign-key a").len(), 1);
    }
}
