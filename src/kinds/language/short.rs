//! Short forms in columns: constraints of one column (`column id bigint primary-key`), and the serial types.

use crate::kdl::{Arg, Node, Problem, Scalar};
use crate::kinds::constraint::{self, Naming};
use crate::kinds::find;
use crate::model::ObjectId;
use crate::sql::{self, reference, types};

use super::generic;
use super::meant;
use super::scope::{Scope, in_schema, schema_id};

/// The node that stands for the numbers of a serial column until all names are known.
pub const NUMBERS: &str = "serial";

/// Properties that are a child node with one argument.
const PROPERTIES: &[&str] = &["references", "check"];

/// A column's node with its short forms as the child nodes that they stand for, and the plain type in place of a serial one.
pub fn unfold(node: &Node) -> Node {
    let mut out = node.clone();
    let flag = |arg: &Arg| {
        let word = arg.as_text().filter(|_| arg.annotation.is_none())?;
        meant::short_flags("column").find(|short| **short == **word)
    };
    for arg in node.args.iter().skip(1) {
        if let Some(word) = flag(arg) {
            let child = Node { span: arg.span, name_span: arg.span, ..Node::new(word) };
            out.children.push(child);
        }
    }
    let mut place = 0;
    out.args.retain(|arg| {
        place += 1;
        place == 1 || flag(arg).is_none()
    });
    for prop in &node.props {
        let short = meant::short_flags("column").any(|short| *short == *prop.name);
        let args = match prop.value.value {
            Scalar::Bool(true) if short => Vec::new(),
            _ if PROPERTIES.contains(&&*prop.name) => vec![prop.value.clone()],
            _ => continue,
        };
        let (name, name_span, span) = (prop.name.clone(), prop.name_span, prop.value.span);
        out.props.retain(|p| p.name != prop.name);
        out.children.push(Node { name, args, name_span, span, ..Node::default() });
    }
    if let Some((arg, plain)) = serial(&mut out) {
        arg.value = Scalar::Text(plain.into());
        if !out.args.iter().any(|arg| arg.as_text().is_some_and(|t| &**t == "not-null")) {
            out.args.push(Arg::text("not-null"));
        }
    }
    out
}

/// True if the column has a serial type.
pub fn is_serial(node: &Node) -> bool {
    serial(&mut node.clone()).is_some()
}

fn serial(node: &mut Node) -> Option<(&mut Arg, &'static str)> {
    let bare = node.args.iter_mut().skip(1).filter(|arg| arg.annotation.is_none());
    let said = node.props.iter_mut().filter(|p| &*p.name == "type").map(|p| &mut p.value);
    bare.chain(said).find_map(|arg| {
        let plain = types::serial(arg.as_text()?)?;
        Some((arg, plain))
    })
}

/// Numbers a column as PostgreSQL does for a serial type: a sequence that belongs to it, and a default.
pub fn number(node: &Node, table: &ObjectId, column: &ObjectId, scope: &mut Scope<'_>) {
    let (Some(sequence), Some(room), Some(schema)) = (in_schema("sequence"), find("default"), table.schema()) else {
        return;
    };
    if scope.load.state.has(&ObjectId::facet(room.kind(), column.clone())) {
        let problem = Problem::new(node.span, format!("{column} has a default, and its type another one"));
        let help = "leave out the default, or write a plain type such as `integer`";
        return scope.problem(problem.label("a serial type").help(help));
    }
    let naming = Naming { addition: Some(column.name().as_str().to_string()), label: "seq" };
    let name = constraint::name(sequence.kind(), table, None, &naming, node.span, scope).name().clone();
    let owner = reference::join(&[schema.name().as_str(), table.name().as_str(), column.name().as_str()]);
    let sql_type = node.args.first().and_then(Arg::as_text).map_or("bigint", |t| t);
    let mut made = Node::new("sequence").arg(name.text()).prop("type", sql_type).prop("owned-by", owner);
    made = generic::dotted(made, sequence.kind());
    (made.span, made.name_span) = (node.span, node.name_span);
    let mut outside = Scope { schema: schema_id(schema.name().text()), parent: None, load: &mut *scope.load };
    sequence.parse(&made, &mut outside);
    let id = ObjectId::new(sequence.kind(), Some(schema.clone()), name);
    if let Some(object) = outside.load.state.objects_mut().get_mut(&id) {
        object.unnamed = true;
    }
    let value = format!("nextval({}::regclass)", sql::literal(&sql::path(&id)));
    let default = Node { span: node.span, name_span: node.name_span, ..Node::new("default").arg(value) };
    scope.child(&default, column);
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::load;
    use crate::model::State;

    fn state(text: &str) -> State {
        let (state, problems) = load(text);
        assert_eq!(problems, Vec::<String>::new(), "{text}");
        state
    }

    #[test]
    fn short_and_long_forms_mean_the_same() {
        let other = "table c {\n    column id bigint\n    primary-key id\n}\n";
        for (short, long) in [
            ("column a bigint primary-key", "column a bigint\n    primary-key a"),
            ("column a bigint primary-key=#true", "column a bigint\n    primary-key a"),
            ("column a text unique not-null", "column a text not-null\n    unique a"),
            (
                "column a text { unique nulls-not-distinct=#true name=one }",
                "column a text\n    unique a nulls-not-distinct=#true name=one",
            ),
            ("column a bigint references=c", "column a bigint\n    foreign-key a { references c id }"),
            (
                "column a bigint { references c on-delete=cascade }",
                "column a bigint\n    foreign-key a { references c id on-delete=cascade }",
            ),
            ("column a int check=\"a > 0\"", "column a int\n    check \"a > 0\""),
            ("column a int { check positive \"a > 0\" }", "column a int\n    check positive \"a > 0\""),
            ("column a int { index }", "column a int\n    index a"),
            (
                "column a text { index t_words using=gin { where \"a <> ''\" } }",
                "column a text\n    index t_words a using=gin { where \"a <> ''\" }",
            ),
            ("column a int { index { key (sql)\"a + 1\" } }", "column a int\n    index { key (sql)\"a + 1\" }"),
            (
                "column a serial",
                "column a int not-null default=\"nextval('public.t_a_seq'::regclass)\"\n}\nsequence t_a_seq type=integer owned-by=t.a\ntable z {\n    column a int",
            ),
        ] {
            let table = |inside: &str| format!("table t {{\n    {inside}\n}}\n{other}");
            let (short, long) = (state(&table(short)), state(&table(long)));
            for (id, object) in short.iter() {
                assert_eq!(long.get(id), Some(object), "{id}");
            }
            assert_eq!(short.len() + 2 * usize::from(long.len() > short.len()), long.len());
        }
    }

    #[test]
    fn serial_types_number_their_columns() {
        let (state, problems) = load(
            "sequence t_a_seq\ntable t {\n    column a bigserial primary-key\n    column b smallserial\n    column c type=serial4\n}\n",
        );
        assert_eq!(problems, Vec::<String>::new());
        let mut all: Vec<String> = state.iter().map(|(id, _)| id.to_string()).filter(|id| id.contains("seq")).collect();
        all.sort();
        assert_eq!(
            all,
            [
                "owned-by on sequence public.t_a_seq1",
                "owned-by on sequence public.t_b_seq",
                "owned-by on sequence public.t_c_seq",
                "sequence public.t_a_seq",
                "sequence public.t_a_seq1",
                "sequence public.t_b_seq",
                "sequence public.t_c_seq"
            ]
        );
        let text: Vec<String> = state
            .iter()
            .filter(|(id, _)| id.kind().word == "default")
            .flat_map(|(_, object)| object.attrs.iter().map(|(_, value)| format!("{value:?}")))
            .collect();
        assert!(text.iter().any(|t| t.contains("nextval('public.t_a_seq1'::regclass)")), "{text:?}");
    }
}
