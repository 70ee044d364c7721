//! Range types with their multirange types: `range timerange time subtype-diff=time_diff`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node};
use crate::kinds::held::{self, Held};
use crate::kinds::operator_members::CLASS;
use crate::kinds::rights::{self, Demand};
use crate::kinds::scope::{Scope, Turn, schema_id};
use crate::kinds::support::{self, CANONICAL};
use crate::kinds::{Context, Evaluates, Folded, Heirs, Holds, Room, Statement, constraint, generic, key_parts, room};
use crate::model::{
    Address, Attr, Form, Key, Kind, KindRef, MAX_NAME_BYTES, Namespace, Object, ObjectId, OnChange, Result, Shape,
    SqlType, State, Text, Within, attr,
};
use crate::sql::{self, reference};

use super::collated::{self, COLLATION, collation_attr};

const SUBTYPE: Key<SqlType> = Key::new("subtype");
const OPCLASS: Key<Text> = Key::new("subtype-opclass");
const SUBTYPE_DIFF: Key<ObjectId> = Key::new("subtype-diff");
const MULTIRANGE: Key<Text> = Key::new("multirange-type-name");

const FUNCTIONS: [Key<ObjectId>; 2] = [CANONICAL, SUBTYPE_DIFF];

static ATTRS: [Attr; 6] = [
    attr(SUBTYPE, Shape::Type, Form::Argument, OnChange::Replace, "The type whose values are the bounds."),
    attr(
        OPCLASS,
        Shape::Text,
        Form::Property,
        OnChange::Replace,
        "The B-tree operator class that orders them, if it differs from the type's default.",
    ),
    collation_attr(OnChange::Replace),
    support::function_attr(CANONICAL, OnChange::Replace, "The function that converts ranges to their canonical form."),
    support::function_attr(
        SUBTYPE_DIFF,
        OnChange::Replace,
        "The function that returns the distance between two bounds.",
    ),
    attr(
        MULTIRANGE,
        Shape::Text,
        Form::Property,
        OnChange::Alter,
        "The name of the multirange type (since 14), if it differs from the range's name with `multirange`.",
    ),
];

pub static KIND: Kind = Kind {
    word: "range",
    sql: "TYPE",
    address: Address::Qualified,
    within: Within::Schema,
    namespace: Namespace::Type,
    attrs: &ATTRS,
    folds: false,
    doc: "A type whose values are ranges of another type's values.",
};

pub struct Range;
pub static ROOM: Range = Range;

impl Room for Range {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&held::PG_TYPE)
    }

    fn heirs(&self, _: bool) -> Heirs {
        Heirs::All
    }

    fn also_declares(&self, node: &Node) -> Option<Text> {
        match node.get_prop(MULTIRANGE.name) {
            Some(arg) => arg.as_text().cloned(),
            None => Some(reference::join(&[&usual_name(node.args.first()?.as_text()?)]).into()),
        }
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        // Functions are known once everything is read.
        if scope.put_off(Turn::NamedReference, &ROOM, node) {
            return;
        }
        let mut rest = node.clone();
        let functions = support::take(&mut rest, &FUNCTIONS);
        generic::parse(&KIND, &rest, scope);
        let Some(name) = node.args.first().and_then(Arg::as_text) else { return };
        let id = scope.id(self, name.clone());
        let Some(object) = scope.load.state.get(&id).cloned() else { return };
        let found: Vec<_> = FUNCTIONS
            .iter()
            .filter_map(|key| Some((key, functions.iter().find(|p| &*p.name == key.name)?)))
            .map(|(key, prop)| (*key, support::resolve(&prop.value, &takes(*key, &id, &object), scope)))
            .collect();
        let opclass = object.get(OPCLASS).map(|class| constraint::normal_name(class, "operator-class", scope));
        let opclass = opclass.filter(|class| !is_usual_class(&object, class));
        if let Some(object) = scope.load.state.objects_mut().get_mut(&id) {
            found.into_iter().for_each(|(key, function)| _ = object.attrs.set(key, function));
            object.attrs.set(OPCLASS, opclass);
            let multirange = object.get(MULTIRANGE).and_then(|text| own_name(&id, text));
            object.attrs.set(MULTIRANGE, multirange);
        }
    }

    /// A canonical function needs a shell of the type first, as those of base types do.
    fn rights(&self, _: &ObjectId, object: &Object, changed: Option<&[&'static str]>) -> Vec<Demand> {
        // Anybody may make a range of a type (src/backend/commands/typecmds.c, DefineRange).
        let mut others = object.clone();
        others.attrs.remove(SUBTYPE.name);
        let mut out = rights::of_attrs(&KIND, &others, changed);
        out.extend(object.get(CANONICAL).map(|_| rights::superuser()));
        out
    }

    fn lacks(&self, _: &ObjectId, object: &Object, _: &State) -> Option<String> {
        object.get(SUBTYPE).is_none().then(|| "it has no subtype: `range NAME SUBTYPE`".to_string())
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = generic::write(id, object, inner);
        support::write(&mut node, id, object, &FUNCTIONS, |key| takes(key, id, object));
        Some(node)
    }

    fn query(&self, server: Version) -> Option<String> {
        let (multirange, join) = match server.at_least(14) {
            true => (
                "n.nspname::text, m.typname::text",
                "JOIN pg_type m ON m.oid = r.rngmultitypid JOIN pg_namespace n ON n.oid = m.typnamespace",
            ),
            false => ("NULL::text, NULL::text", ""),
        };
        let (own, types) =
            if server.at_least(14) { ("m.oid, m.typarray", "t.oid, m.oid") } else { ("0::oid, 0::oid", "t.oid") };
        Some(format!(
            "SELECT t.oid, t.typarray, t.typnamespace, t.typname, {own}, \
             ARRAY(SELECT d.objid FROM pg_depend d WHERE d.classid = 1255 AND d.refclassid = 1247 AND d.refobjid IN ({types}) AND d.deptype = 'i'), \
             {multirange}, format_type(s.oid, NULL), CASE WHEN NOT c.opcdefault THEN (SELECT nspname::text FROM pg_namespace WHERE oid = c.opcnamespace) END, \
             CASE WHEN NOT c.opcdefault THEN c.opcname::text END, {}, {}, {} \
             FROM pg_range r JOIN pg_type t ON t.oid = r.rngtypid JOIN pg_type s ON s.oid = r.rngsubtype JOIN pg_opclass c ON c.oid = r.rngsubopc {join} \
             WHERE t.oid >= 16384 ORDER BY t.oid",
            collated::columns("nullif(r.rngcollation, 0)", "s.typcollation"),
            support::columns("r.rngcanonical"),
            support::columns("r.rngsubdiff")
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, array, schema, name) = (row.oid(), row.oid(), row.oid(), row.text());
        if book.is_member(class::PG_TYPE, oid) {
            return None;
        }
        let id = ObjectId::new(&KIND, Some(book.schema(schema)?.clone()), name);
        book.add(class::PG_TYPE, oid, id.clone());
        book.add(class::PG_TYPE, array, id.clone());
        // The multirange and the constructors are created and dropped with it.
        let (multirange, its_array) = (row.oid(), row.oid());
        book.add_part(class::PG_TYPE, multirange, id.clone());
        book.add_part(class::PG_TYPE, its_array, id.clone());
        row.next::<Vec<u32>>()
            .into_iter()
            .for_each(|constructor| book.add_part(class::PG_PROC, constructor, id.clone()));
        Some(id)
    }

    fn read(&self, row: &mut Row, id: &ObjectId, book: &Book) -> Option<Object> {
        let mut object = Object::default();
        let multirange = (row.text_opt(), row.text_opt());
        if let (Some(schema), Some(name)) = multirange {
            object.attrs.set(MULTIRANGE, own_name(id, &reference::join(&[&schema, &name])));
        }
        object.attrs.set(SUBTYPE, SqlType::new(row.text()));
        let opclass = row.text_opt().zip(row.text_opt());
        object.attrs.set(OPCLASS, opclass.map(|(schema, name)| constraint::in_schema(&schema, &name)));
        object.attrs.set(COLLATION, collated::read(row));
        object.attrs.set(CANONICAL, support::read(row, book)).set(SUBTYPE_DIFF, support::read(row, book));
        Some(object)
    }

    fn follow(&self, object: &mut Object, from: &ObjectId, to: &ObjectId) {
        let named = from.kind().word == CLASS && object.get(OPCLASS) == Some(&key_parts::class_text(from));
        if named && from.signature().is_some_and(|method| &**method == "btree") {
            object.attrs.set(OPCLASS, key_parts::class_text(to));
        }
    }

    fn refers(&self, _: &ObjectId, object: &Object, refs: &mut crate::kinds::refs::Refs) {
        if let Some(class) = object.get(OPCLASS) {
            refs.names_in(constraint::name_sql(class).into());
        }
    }

    /// A multirange's name can change, its schema cannot.
    fn on_change(&self, attr: &'static Attr, old: &Object, new: &Object) -> OnChange {
        let moved = |object: &Object| {
            object.get(MULTIRANGE).is_some_and(|text| !matches!(reference::split(text).as_deref(), Ok([_])))
        };
        if attr.name == MULTIRANGE.name && (moved(old) || moved(new)) { OnChange::Replace } else { attr.on_change }
    }

    fn other_type(&self, id: &ObjectId, object: &Object) -> Option<ObjectId> {
        Some(multirange(id, object))
    }

    fn holds(&self, _: &ObjectId, object: &Object, _: &State) -> Option<Holds> {
        object.get(SUBTYPE).cloned().map(Holds::Bounds)
    }

    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Rows
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        let mut parts = vec![format!("subtype = {}", object.get(SUBTYPE).map_or("", |t| t.as_str()))];
        parts.extend(object.get(OPCLASS).map(|class| format!("subtype_opclass = {}", constraint::name_sql(class))));
        parts.extend(object.get(COLLATION).map(|id| format!("collation = {}", collated::name(id))));
        parts.extend(object.get(CANONICAL).map(|f| format!("canonical = {}", support::name(f))));
        parts.extend(object.get(SUBTYPE_DIFF).map(|f| format!("subtype_diff = {}", support::name(f))));
        if object.get(MULTIRANGE).is_some() {
            parts.push(format!("multirange_type_name = {}", sql::path(&multirange(id, object))));
        }
        let create = Statement::new(format!("CREATE TYPE {} AS RANGE ({})", sql::path(id), parts.join(", ")));
        // The canonical function takes the range that needs it: it is created after a shell of the range and before the range.
        let canonical = object.get(CANONICAL).and_then(|f| Some((f, cx.state.get(f)?)));
        let Some((function, definition)) = canonical else { return Ok(vec![create]) };
        let mut out = vec![Statement::new(format!("CREATE TYPE {}", sql::path(id)))];
        out.extend(room(function.kind()).create(function, definition, &[], cx)?);
        out.push(create);
        Ok(out)
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        _: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        Ok(rename_multirange(&multirange(id, old), &multirange(id, new), id))
    }

    /// The constructors and a multirange that is called as usual follow the range.
    fn rename(&self, from: &ObjectId, to: &ObjectId, object: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        let mut out = rename_range(from, to, object);
        if cx.server.at_least(14) && object.get(MULTIRANGE).is_none() {
            out.extend(rename_multirange(&multirange(from, object), &multirange(to, object), to));
        }
        Ok(out)
    }

    fn set_aside(&self, from: &ObjectId, to: &ObjectId, object: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        let mut out = rename_range(from, to, object);
        if cx.server.at_least(14) {
            out.extend(rename_multirange(&multirange(from, object), &multirange(to, &Object::default()), to));
        }
        Ok(out)
    }

    fn drop(&self, id: &ObjectId, object: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        // It and its canonical function need each other; all else that needs it is gone by now.
        let cascade = object.get(CANONICAL).is_some_and(|function| cx.state.has(function));
        Ok(vec![Statement::new(format!("DROP TYPE {}{}", sql::path(id), if cascade { " CASCADE" } else { "" }))])
    }
}

/// What the functions take.
fn takes(key: Key<ObjectId>, id: &ObjectId, object: &Object) -> Vec<Text> {
    let subtype = object.get(SUBTYPE).map_or("", |t| t.as_str());
    match key.name {
        "canonical" => vec![sql::path(id).into()],
        _ => vec![subtype.into(); 2],
    }
}

/// The address of the multirange.
fn multirange(id: &ObjectId, object: &Object) -> ObjectId {
    match object.get(MULTIRANGE).and_then(|text| reference::split(text).ok()).as_deref() {
        Some([home, name]) => ObjectId::new(&KIND, Some(schema_id(home.clone())), name.clone()),
        Some([name]) => id.renamed(name.clone()),
        _ => id.renamed(usual_name(id.name().as_str())),
    }
}

/// The multirange's name, if it is not the usual one; without the range's own schema.
fn own_name(id: &ObjectId, text: &str) -> Option<Text> {
    let parts = reference::split(text).ok()?;
    let (home, name) = match parts.as_slice() {
        [home, name] => (Some(home).filter(|home| id.schema().is_some_and(|s| s.name().as_str() != &***home)), name),
        [name] => (None, name),
        _ => return Some(text.into()),
    };
    match home {
        Some(home) => Some(reference::join(&[home, name]).into()),
        None => (**name != *usual_name(id.name().as_str())).then(|| reference::join(&[name]).into()),
    }
}

/// src/backend/catalog/pg_type.c, makeMultirangeTypeName.
fn usual_name(range: &str) -> String {
    let cut = |text: &str, bytes: usize| text[..text.floor_char_boundary(bytes)].to_string();
    let name = match range.find("range") {
        Some(at) => format!("{}multi{}", &range[..at], &range[at..]),
        None => format!("{}_multirange", cut(range, MAX_NAME_BYTES - 11)),
    };
    cut(&name, MAX_NAME_BYTES)
}

/// True if the class is the default for PostgreSQL's own types.
fn is_usual_class(object: &Object, class: &str) -> bool {
    let Some(stem) = class.strip_suffix("_ops") else { return false };
    let short = match object.get(SUBTYPE).map_or("", |t| t.as_str()) {
        "smallint" => "int2",
        "integer" => "int4",
        "bigint" => "int8",
        "real" => "float4",
        "double precision" => "float8",
        "character varying" | "text" => "text",
        "character" => "bpchar",
        "boolean" => "bool",
        "timestamp without time zone" => "timestamp",
        "timestamp with time zone" => "timestamptz",
        "time without time zone" => "time",
        "time with time zone" => "timetz",
        "bit varying" => "varbit",
        "cidr" => "inet",
        other => other,
    };
    stem == short
}

fn rename_range(from: &ObjectId, to: &ObjectId, object: &Object) -> Vec<Statement> {
    let subtype = object.get(SUBTYPE).map_or("", |t| t.as_str());
    let bounds = [format!("{subtype}, {subtype}"), format!("{subtype}, {subtype}, text")];
    renames(from, to, &bounds)
}

fn rename_multirange(from: &ObjectId, to: &ObjectId, range: &ObjectId) -> Vec<Statement> {
    let range = sql::path(range);
    renames(from, to, &[String::new(), range.clone(), format!("VARIADIC {range}[]")])
}

/// A type and its constructors, which have its name.
fn renames(from: &ObjectId, to: &ObjectId, constructors: &[String]) -> Vec<Statement> {
    let (path, name) = (sql::path(from), sql::name(to.name()));
    let constructors = constructors.iter().map(|args| format!("ALTER FUNCTION {path}({args}) RENAME TO {name}"));
    std::iter::once(format!("ALTER TYPE {path} RENAME TO {name}")).chain(constructors).map(Statement::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::testing::{alter, create, load, round_trip};

    #[test]
    fn what_a_range_says_is_created() {
        let text = "function far returns=\"double precision\" language=sql {\n    arg bigint\n    arg bigint\n    body-exact \"SELECT 1\"\n}\n\n\
                    range a bigint subtype-diff=far\n\
                    range b varchar subtype-opclass=text_pattern_ops collation=C subtype-diff=pg_catalog.diff multirange-type-name=bs\n";
        let text = text.replace("pg_catalog.diff", "diff");
        assert_eq!(
            create(&round_trip(&text), "range"),
            [
                "CREATE TYPE public.a AS RANGE (subtype = bigint, subtype_diff = public.far)",
                "CREATE TYPE public.b AS RANGE (subtype = character varying, subtype_opclass = text_pattern_ops, collation = \"C\", \
                 subtype_diff = pg_catalog.diff, multirange_type_name = public.bs)",
            ]
        );
    }

    #[test]
    fn what_goes_without_saying_is_left_out() {
        let plain = load("range floatrange float8").0;
        let said =
            load("range floatrange float8 subtype-opclass=float8_ops multirange-type-name=public.floatmultirange").0;
        assert_eq!(plain.objects(), said.objects());
    }

    #[test]
    fn a_multirange_is_renamed() {
        assert_eq!(
            alter("range a int", "range a int multirange-type-name=many", "range")[0],
            "ALTER TYPE public.a_multirange RENAME TO many"
        );
        assert_eq!(
            alter("range a int", "range a int multirange-type-name=app.many", "range")[0],
            "replace because of multirange-type-name"
        );
    }

    #[test]
    fn multiranges_have_their_usual_names() {
        assert_eq!(usual_name("floatrange"), "floatmultirange");
        assert_eq!(usual_name("span"), "span_multirange");
        let long = "x".repeat(63);
        assert_eq!(usual_name(&long), format!("{}_multirange", "x".repeat(52)));
    }

    #[test]
    fn a_function_that_is_not_there_is_missed() {
        let far = "function far language=sql returns=float8 {\n    arg int\n    body-exact x\n}\nfunction far language=sql returns=float8 {\n    body-exact x\n}\n";
        assert_eq!(
            load(&format!("{far}range a bigint subtype-diff=far")).1,
            ["no function `far` takes (bigint, bigint)"]
        );
        assert_eq!(load("range a bigint subtype-diff=public.far").1, ["there is no function `public.far`"]);
    }

    #[test]
    fn the_room_is_known_as_a_type() {
        assert!(crate::kinds::IS_TYPE.contains(&KIND.word));
    }
}
