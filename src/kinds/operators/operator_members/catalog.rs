//! Operators and functions of a family or class in the catalog: `pg_amop` and `pg_amproc`.

use crate::catalog::{Book, Row, class};
use crate::kinds::find;
use crate::kinds::scope::schema_id;
use crate::model::{Attrs, Object, ObjectId, SqlType};

use super::{FOR_ORDER_BY, FUNCTION, LEFT_ARG, NUMBER, OPERATOR, RIGHT_ARG, family, set, takes};

/// SQL for the class that a row `m` of `pg_amop` or `pg_amproc` belongs to.
fn home(catalog: u32, columns: &str) -> String {
    format!(
        "(SELECT c.oid FROM pg_opclass c JOIN pg_opfamily f ON f.oid = c.opcfamily WHERE c.opcfamily = m.{columns}family \
         AND (m.{columns}lefttype = c.opcintype AND m.{columns}righttype = c.opcintype \
         OR c.opcname = f.opfname AND c.opcnamespace = f.opfnamespace \
         AND (SELECT count(*) FROM pg_opclass o WHERE o.opcfamily = f.oid) = 1) \
         ORDER BY EXISTS (SELECT FROM pg_depend d WHERE d.classid = {catalog} AND d.objid = m.oid AND d.refclassid = 2616 \
         AND d.refobjid = c.oid) DESC, c.oid >= 16384, c.opcname, c.opcnamespace LIMIT 1)"
    )
}

/// Two lateral joins, `po` and `pf`, with the members of the family `family`; `of` says whose: a class's OID, or NULL for the family's.
pub fn joins(family: &str, of: &str) -> String {
    let (operators, functions) = (home(class::PG_AMOP, "amop"), home(class::PG_AMPROC, "amproc"));
    format!(
        "CROSS JOIN LATERAL (SELECT array_agg(m.oid ORDER BY m.oid) AS oids, \
         array_agg(m.amopstrategy::int8 ORDER BY m.oid) AS numbers, array_agg(m.amopopr ORDER BY m.oid) AS operators, \
         array_agg(s.nspname::text ORDER BY m.oid) AS homes, array_agg(o.oprname::text ORDER BY m.oid) AS names, \
         array_agg(format_type(m.amoplefttype, NULL) ORDER BY m.oid) AS lefts, \
         array_agg(format_type(m.amoprighttype, NULL) ORDER BY m.oid) AS rights, \
         array_agg(fs.nspname::text ORDER BY m.oid) AS sort_homes, array_agg(sf.opfname::text ORDER BY m.oid) AS sort_names \
         FROM pg_amop m JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_namespace s ON s.oid = o.oprnamespace \
         LEFT JOIN pg_opfamily sf ON sf.oid = m.amopsortfamily LEFT JOIN pg_namespace fs ON fs.oid = sf.opfnamespace \
         WHERE m.amopfamily = {family} AND {operators} IS NOT DISTINCT FROM {of}) po \
         CROSS JOIN LATERAL (SELECT array_agg(m.oid ORDER BY m.oid) AS oids, \
         array_agg(m.amprocnum::int8 ORDER BY m.oid) AS numbers, array_agg(m.amproc::oid ORDER BY m.oid) AS functions, \
         array_agg(s.nspname::text ORDER BY m.oid) AS homes, array_agg(p.proname::text ORDER BY m.oid) AS names, \
         array_agg(oidvectortypes(p.proargtypes) ORDER BY m.oid) AS takes, \
         array_agg(format_type(m.amproclefttype, NULL) ORDER BY m.oid) AS lefts, \
         array_agg(format_type(m.amprocrighttype, NULL) ORDER BY m.oid) AS rights \
         FROM pg_amproc m JOIN pg_proc p ON p.oid = m.amproc JOIN pg_namespace s ON s.oid = p.pronamespace \
         WHERE m.amprocfamily = {family} AND {functions} IS NOT DISTINCT FROM {of}) pf"
    )
}

/// The columns of those joins: first those for `name`, then those for `read`.
pub const NAMING: &str = "po.oids, pf.oids";
pub const MEMBERS: &str = "po.numbers, po.operators, po.homes, po.names, po.lefts, po.rights, po.sort_homes, po.sort_names, \
                           pf.numbers, pf.functions, pf.homes, pf.names, pf.takes, pf.lefts, pf.rights";

/// Enters the members' rows into the book as parts of the object.
pub fn name(row: &mut Row, id: &ObjectId, book: &mut Book) {
    for class in [class::PG_AMOP, class::PG_AMPROC] {
        let oids: Vec<u32> = row.next();
        oids.into_iter().for_each(|oid| book.add_part(class, oid, id.clone()));
    }
}

/// Reads the members.
pub fn read(row: &mut Row, id: &ObjectId, object: &mut Object, book: &Book) {
    let (numbers, oids): (Vec<i64>, Vec<u32>) = (row.next(), row.next());
    let (homes, names): (Vec<String>, Vec<String>) = (row.next(), row.next());
    let (lefts, rights): (Vec<String>, Vec<String>) = (row.next(), row.next());
    let (sort_homes, sort_names): (Vec<Option<String>>, Vec<Option<String>>) = (row.next(), row.next());
    let mut operators = Vec::new();
    for (at, number) in numbers.into_iter().enumerate() {
        let text = |list: &[String]| list.get(at).cloned().unwrap_or_default();
        let known = oids.get(at).and_then(|oid| book.get(class::PG_OPERATOR, *oid)).cloned();
        let made = || {
            let types = format!("{}, {}", text(&lefts), text(&rights));
            Some(ObjectId::routine(find("operator")?.kind(), Some(schema_id(text(&homes))), text(&names), types))
        };
        let sort = sort_homes.get(at).cloned().flatten().zip(sort_names.get(at).cloned().flatten());
        let sort = sort.and_then(|(home, name)| family(schema_id(home), name, "btree"));
        operators.push(Attrs::new().with(NUMBER, number).with(OPERATOR, known.or_else(made)).with(FOR_ORDER_BY, sort));
    }
    let (numbers, oids): (Vec<i64>, Vec<u32>) = (row.next(), row.next());
    let (homes, names): (Vec<String>, Vec<String>) = (row.next(), row.next());
    let takes_all: Vec<String> = row.next();
    let (lefts, rights): (Vec<String>, Vec<String>) = (row.next(), row.next());
    let mut functions = Vec::new();
    for (at, number) in numbers.into_iter().enumerate() {
        let text = |list: &[String]| list.get(at).cloned().unwrap_or_default();
        let (left, right) = (SqlType::new(text(&lefts)), SqlType::new(text(&rights)));
        let known = oids.get(at).and_then(|oid| book.get(class::PG_PROC, *oid)).cloned();
        let made = || {
            // One that is not ours is known by its name alone where its types are certain.
            let own = ObjectId::new(find("function")?.kind(), Some(schema_id(text(&homes))), text(&names));
            let certain = takes(id, number, &left, &right).is_some_and(|types| types.join(", ") == text(&takes_all));
            Some(if certain { own } else { own.with_signature(Some(text(&takes_all).into())) })
        };
        let member = Attrs::new().with(NUMBER, number).with(FUNCTION, known.or_else(made));
        functions.push(member.with(LEFT_ARG, left).with(RIGHT_ARG, right));
    }
    set(object, operators, functions);
}
