//! Reads routines from `pg_proc`.

use crate::catalog::{Book, Row, Version, class};
use crate::kinds::generic;
use crate::model::{Attrs, Expr, KindRef, Object, ObjectId, SqlType, Text};

use super::*;

/// The query for routines of these kinds (`prokind`); constructors that PostgreSQL makes for range types are left out.
pub fn query(server: Version, kinds: &str) -> String {
    let sql_body = match server.at_least(14) {
        true => "CASE WHEN p.prosqlbody IS NOT NULL THEN pg_get_function_sqlbody(p.oid) END",
        false => "NULL::text",
    };
    format!(
        "SELECT p.oid, p.pronamespace, p.proname, \
         (SELECT coalesce(string_agg(format_type(u.t, NULL), ', ' ORDER BY u.i), '') \
          FROM unnest(p.proargtypes) WITH ORDINALITY u(t, i)), \
         ARRAY(SELECT format_type(u.t, NULL) \
               FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY u(t, i) ORDER BY u.i), \
         p.proargnames, p.proargmodes::text[], \
         CASE WHEN p.pronargdefaults > 0 THEN ARRAY(SELECT pg_get_function_arg_default(p.oid, i) \
              FROM generate_series(1, coalesce(array_length(p.proallargtypes, 1), p.pronargs)) i ORDER BY i) END, \
         format_type(p.prorettype, NULL), p.proretset, l.lanname, p.provolatile, p.proisstrict, p.proleakproof, p.prosecdef, \
         p.prokind = 'w', p.proparallel, p.procost::numeric::text, p.prorows::numeric::text, \
         CASE WHEN p.prosupport <> 0 THEN (SELECT quote_ident(n.nspname) || '.' || quote_ident(s.proname) \
              FROM pg_proc s JOIN pg_namespace n ON n.oid = s.pronamespace WHERE s.oid = p.prosupport) END, \
         CASE WHEN p.protrftypes IS NOT NULL THEN ARRAY(SELECT format_type(t, NULL) FROM unnest(p.protrftypes) t) END, \
         p.proconfig, p.probin, p.prosrc, {sql_body} \
         FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang \
         WHERE p.oid >= 16384 AND p.prokind IN ({kinds}) AND NOT EXISTS (SELECT FROM pg_depend d \
               WHERE d.classid = 1255 AND d.objid = p.oid AND d.deptype = 'i') \
         ORDER BY p.oid"
    )
}

/// Names a row of that query.
pub fn name(kind: KindRef, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
    let (oid, schema, name, signature) = (row.oid(), row.oid(), row.text(), row.text());
    if book.is_member(class::PG_PROC, oid) {
        return None;
    }
    let id = ObjectId::routine(kind, Some(book.schema(schema)?.clone()), name, signature);
    book.add(class::PG_PROC, oid, id.clone());
    Some(id)
}

/// Reads the rest of a row of that query.
pub fn read(kind: KindRef, row: &mut Row) -> Object {
    let mut attrs = Attrs::new();
    let arguments = read_args(row);
    attrs.set(ARGS, (!arguments.is_empty()).then_some(arguments));
    attrs.set(RETURNS, SqlType::new(row.text()));
    attrs.set(SETOF, row.next::<bool>());
    let language = row.text();
    attrs.set(LANGUAGE, language.clone());
    let volatility = match row.char() {
        'i' => "immutable",
        's' => "stable",
        _ => "volatile",
    };
    attrs.set(VOLATILITY, Text::from(volatility));
    attrs.set(STRICT, row.next::<bool>()).set(LEAKPROOF, row.next::<bool>());
    attrs.set(SECURITY_DEFINER, row.next::<bool>()).set(WINDOW, row.next::<bool>());
    let parallel = match row.char() {
        's' => "safe",
        'r' => "restricted",
        _ => "unsafe",
    };
    attrs.set(PARALLEL, Text::from(parallel));
    attrs.set(COST, row.text_opt()).set(ROWS, row.text_opt()).set(SUPPORT, row.text_opt());
    attrs.set(TRANSFORM, texts(row)).set(SET, texts(row));
    let (file, source, sql_body) = (row.text_opt(), row.text(), row.text_opt());
    match (&*language, sql_body) {
        ("c" | "internal", _) => {
            attrs.set(OBJECT_FILE, file.filter(|_| &*language == "c")).set(LINK_SYMBOL, source);
        }
        (_, Some(body)) => {
            attrs.set(SQL_BODY, Expr::new(body.trim()));
        }
        _ => {
            attrs.set(BODY, source);
        }
    }
    normalise(&mut attrs);
    generic::drop_defaults(kind, &mut attrs);
    let unknown: Vec<&'static str> = attrs.iter().map(|(n, _)| n).filter(|n| kind.attr(n).is_none()).collect();
    unknown.into_iter().for_each(|name| attrs.remove(name)); // a procedure returns nothing
    Object::new(attrs)
}

fn texts(row: &mut Row) -> Option<Vec<Text>> {
    let list: Vec<String> = row.next();
    (!list.is_empty()).then(|| list.into_iter().map(Text::from).collect())
}

fn read_args(row: &mut Row) -> Vec<Attrs> {
    let types: Vec<String> = row.next();
    let names: Vec<String> = row.next();
    let modes: Vec<String> = row.next();
    let defaults: Vec<Option<String>> = row.next();
    let arg = |(i, sql_type): (usize, String)| {
        let mode = match modes.get(i).map(String::as_str) {
            Some("o") => Some("out"),
            Some("b") => Some("inout"),
            Some("v") => Some("variadic"),
            Some("t") => Some("table"),
            _ => None,
        };
        let name = names.get(i).filter(|n| !n.is_empty()).map(|n| Text::from(n.as_str()));
        Attrs::new()
            .with(ARG_TYPE, SqlType::new(sql_type))
            .with(ARG_NAME, name)
            .with(ARG_MODE, mode.map(Text::from))
            .with(ARG_DEFAULT, defaults.get(i).cloned().flatten().map(Expr::new))
    };
    types.into_iter().enumerate().map(arg).collect()
}
