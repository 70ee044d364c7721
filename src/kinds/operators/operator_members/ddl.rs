//! Statements that add operators and functions to a family or class, and drop them.

use crate::kinds::support;
use crate::model::{Attr, Attrs, Object, ObjectId};
use crate::sql::{self, lex};

use super::{FOR_ORDER_BY, FUNCTION, FUNCTIONS, NUMBER, OPERATOR, OPERATORS, list, operands, place};

/// True if the members differ only in that one side leaves out a function's input types.
pub fn same(attr: &'static Attr, old: &Object, new: &Object) -> bool {
    let key = [OPERATORS, FUNCTIONS].into_iter().find(|key| key.name == attr.name);
    let Some((old, new)) = key.map(|key| (list(old, key), list(new, key))) else { return false };
    old.len() == new.len() && old.iter().zip(&new).all(|(old, new)| same_member(old, new))
}

fn same_member(old: &Attrs, new: &Attrs) -> bool {
    let function = |member: &Attrs| member.get(FUNCTION).cloned();
    let alike = match (function(old), function(new)) {
        (Some(a), Some(b)) if a.signature().is_none() || b.signature().is_none() => {
            a.with_signature(None) == b.with_signature(None)
        }
        (a, b) => a == b,
    };
    alike && place(old) == place(new) && [OPERATOR, FOR_ORDER_BY].iter().all(|key| old.get(*key) == new.get(*key))
}

/// True if everything that the old object has is in the new one, too.
pub fn only_adds(old: &Object, new: &Object) -> bool {
    [OPERATORS, FUNCTIONS].into_iter().all(|key| {
        let new = list(new, key);
        list(old, key).iter().all(|member| new.iter().any(|other| same_member(member, other)))
    })
}

/// The clauses for all members: `OPERATOR 1 public.<(…)`.
pub fn clauses(object: &Object) -> Vec<String> {
    members_sql(&list(object, OPERATORS), &list(object, FUNCTIONS))
}

fn members_sql(operators: &[&Attrs], functions: &[&Attrs]) -> Vec<String> {
    let operator = |member: &&Attrs| {
        let operator = member.get(OPERATOR)?;
        let sort =
            member.get(FOR_ORDER_BY).map(|family| format!(" FOR ORDER BY {}", sql::schema_path(family, family.name())));
        let types = operands(operator).join(", ");
        let number = member.get(NUMBER)?;
        Some(format!("OPERATOR {number} {}({types}){}", sql::operator_path(operator), sort.unwrap_or_default()))
    };
    let function = |member: &&Attrs| {
        let function = member.get(FUNCTION)?;
        let (number, types) = place(member);
        let takes = function.signature().map_or_else(String::new, |types| format!("({types})"));
        Some(format!("FUNCTION {number} ({}) {}{takes}", types.join(", "), support::name(function)))
    };
    operators.iter().filter_map(operator).chain(functions.iter().filter_map(function)).collect()
}

/// What adds to a family the members of `new` that are not in `old`.
pub fn add(family: &ObjectId, old: &Object, new: &Object) -> Option<String> {
    let gained = |key| -> Vec<&Attrs> {
        let before = list(old, key);
        list(new, key).into_iter().filter(|m| !before.iter().any(|other| same_member(m, other))).collect()
    };
    let added = members_sql(&gained(OPERATORS), &gained(FUNCTIONS));
    (!added.is_empty()).then(|| format!("ALTER {} ADD {}", sql::target(family), added.join(", ")))
}

/// A member, for those who choose among them.
pub struct Member {
    pub is_operator: bool,
    pub number: i64,
    /// True if it works on two different types.
    pub crosses: bool,
}

/// What takes from a family the members of `old` that are not in `new`, and that `which` chooses.
pub fn remove(family: &ObjectId, old: &Object, new: &Object, which: impl Fn(&Member) -> bool) -> Option<String> {
    let mut out = Vec::new();
    for (key, word) in [(OPERATORS, "OPERATOR"), (FUNCTIONS, "FUNCTION")] {
        let after = list(new, key);
        for member in list(old, key).into_iter().filter(|m| !after.iter().any(|other| same_member(m, other))) {
            let (number, types) = place(member);
            let crosses = types.first() != types.last();
            if which(&Member { is_operator: key.name == OPERATORS.name, number, crosses }) {
                out.push(format!("{word} {number} ({})", types.join(", ")));
            }
        }
    }
    (!out.is_empty()).then(|| format!("ALTER {} DROP {}", sql::target(family), out.join(", ")))
}

/// The same for a class that is dropped from a server before 14, which knows itself which members were added to the family later and would
/// stay there.
pub fn remove_added(family: &ObjectId, class: &ObjectId, object: &Object) -> String {
    let mut members = Vec::new();
    for (key, word) in [(OPERATORS, "OPERATOR"), (FUNCTIONS, "FUNCTION")] {
        for member in list(object, key) {
            let (number, types) = place(member);
            members.push(sql::literal(&format!("{word} {number} ({})", types.join(", "))));
        }
    }
    let method = class.signature().map_or("", |s| s);
    let home = class.schema().map_or("", |schema| schema.name().as_str());
    added(&format!("ALTER {} DROP ", sql::target(family)), [method, home, class.name().as_str()], &members.join(", "))
}

/// True for a text of `remove_added` for a class of that name: what it executes can only remove the class's members from an operator family.
pub fn removes_added(text: &str, of: &str) -> bool {
    let body = lex::strings(text);
    let [body] = body.as_slice() else { return false };
    let strings = lex::strings(body);
    let [drop, _, _, _, method, home, class, members @ .., _] = strings.as_slice() else { return false };
    let members: Vec<String> = members.iter().map(|member| sql::literal(member)).collect();
    let mut pieces = lex::pieces(drop);
    let harmless = pieces.all(|piece| match piece.kind {
        lex::Kind::Space | lex::Kind::Word => true,
        lex::Kind::Quoted => piece.closed,
        _ => piece.text == ".",
    });
    let alters = drop.starts_with("ALTER OPERATOR FAMILY ") && drop.ends_with(" DROP ") && harmless;
    alters && class == of && text == added(drop, [method, home, class], &members.join(", "))
}

/// Executes `drop` with those of the members, a list of literals, that the class does not hold: they were added to its family.
fn added(drop: &str, [method, home, class]: [&str; 3], members: &str) -> String {
    let body = format!(
        "BEGIN EXECUTE coalesce((SELECT {} || string_agg(m.item, ', ') FROM \
         (SELECT 2602::oid, oid, amopfamily, format('OPERATOR %s (%s, %s)', amopstrategy, format_type(amoplefttype, NULL), \
         format_type(amoprighttype, NULL)) FROM pg_amop UNION ALL SELECT 2603, oid, amprocfamily, \
         format('FUNCTION %s (%s, %s)', amprocnum, format_type(amproclefttype, NULL), format_type(amprocrighttype, NULL)) \
         FROM pg_amproc) m (class, oid, family, item) JOIN pg_opclass c ON c.opcfamily = m.family JOIN pg_am a ON a.oid = c.opcmethod \
         JOIN pg_namespace n ON n.oid = c.opcnamespace WHERE a.amname = {} AND n.nspname = {} AND c.opcname = {} \
         AND m.item IN ({members}) AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = m.class AND d.objid = m.oid \
         AND d.refclassid = 2616)), 'SELECT 1'); END",
        sql::literal(drop),
        sql::literal(method),
        sql::literal(home),
        sql::literal(class),
    );
    format!("DO {}", sql::literal(&body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::scope::schema_id;
    use crate::kinds::{operator_class, operator_family};

    #[test]
    fn a_block_that_drops_members_is_known_by_all_of_its_text() {
        let class =
            ObjectId::new(&operator_class::KIND, Some(schema_id("app")), "it's").with_signature(Some("gist".into()));
        let family =
            ObjectId::new(&operator_family::KIND, Some(schema_id("app")), "f;\"").with_signature(Some("gist".into()));
        let block = remove_added(&family, &class, &Object::default());
        assert!(removes_added(&block, "it's") && !removes_added(&block, "other"), "{block}");
        for (from, to) in
            [("DROP '", "DROP FUNCTION f; '"), ("''gist''", "''gist'' OR true"), ("BEGIN ", "BEGIN DELETE FROM t; ")]
        {
            let other = block.replacen(from, to, 1);
            assert!(other != block && !removes_added(&other, "it's"), "{other}");
        }
        assert!(!removes_added("DO 'BEGIN END'", "c") && !removes_added("DROP OPERATOR CLASS c USING gist", "c"));
    }
}
