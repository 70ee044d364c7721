//! A KDL node as the rooms see it: name, arguments, properties and children, each with its position in the file.

use crate::model::{Span, Text};

/// One node.
#[derive(Debug, Clone, Default)]
pub struct Node {
    pub name: Text,
    pub args: Vec<Arg>,
    pub props: Vec<Prop>,
    pub children: Vec<Node>,
    /// The node from its name to its terminator or closing brace.
    pub span: Span,
    /// The name alone.
    pub name_span: Span,
}

/// An argument, or the value of a property: `(sql)"lower(email)"`.
#[derive(Debug, Clone)]
pub struct Arg {
    pub value: Scalar,
    /// The annotation in parentheses.
    pub annotation: Option<Text>,
    pub span: Span,
}

/// `name=value`.
#[derive(Debug, Clone)]
pub struct Prop {
    pub name: Text,
    pub value: Arg,
    /// The property's name alone.
    pub name_span: Span,
}

/// A KDL value.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    Text(Text),
    Int(i64),
    /// A number that is not an `i64`, as written (normalised digits).
    Number(Text),
    Bool(bool),
    Null,
}

impl Node {
    /// A node without place, to be written.
    pub fn new(name: impl Into<Text>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds a text argument.
    #[must_use]
    pub fn arg(mut self, text: impl Into<Text>) -> Self {
        self.args.push(Arg::text(text));
        self
    }

    /// Adds an annotated text argument: `(sql)"…"`.
    #[must_use]
    pub fn annotated(mut self, annotation: &str, text: impl Into<Text>) -> Self {
        self.args.push(Arg { annotation: Some(annotation.into()), ..Arg::text(text) });
        self
    }

    /// Adds a whole-number argument.
    #[must_use]
    pub fn int(mut self, value: i64) -> Self {
        self.args.push(Arg::new(Scalar::Int(value)));
        self
    }

    /// Adds a property.
    #[must_use]
    pub fn prop(mut self, name: impl Into<Text>, value: impl Into<Text>) -> Self {
        self.props.push(Prop::new(name, Arg::text(value)));
        self
    }

    /// Adds a whole-number property.
    #[must_use]
    pub fn int_prop(mut self, name: impl Into<Text>, value: i64) -> Self {
        self.props.push(Prop::new(name, Arg::new(Scalar::Int(value))));
        self
    }

    /// Adds a child.
    #[must_use]
    pub fn child(mut self, node: Node) -> Self {
        self.children.push(node);
        self
    }

    /// True if both lists have the same contents, wherever they are.
    pub fn all_alike(these: &[Node], those: &[Node]) -> bool {
        these.len() == those.len() && these.iter().zip(those).all(|(this, that)| this.is_like(that))
    }

    /// True if both have the same contents, wherever they are.
    pub fn is_like(&self, other: &Node) -> bool {
        self.name == other.name
            && self.args.len() == other.args.len()
            && self.args.iter().zip(&other.args).all(|(this, that)| this.is_like(that))
            && self.props.len() == other.props.len()
            && self
                .props
                .iter()
                .zip(&other.props)
                .all(|(this, that)| this.name == that.name && this.value.is_like(&that.value))
            && Self::all_alike(&self.children, &other.children)
    }

    /// The property of that name.
    pub fn get_prop(&self, name: &str) -> Option<&Arg> {
        self.props.iter().find(|p| &*p.name == name).map(|p| &p.value)
    }

    /// The first child of that name.
    pub fn get_child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|c| &*c.name == name)
    }
}

impl Prop {
    /// A property without place, to be written.
    pub fn new(name: impl Into<Text>, value: Arg) -> Self {
        Self { name: name.into(), value, name_span: Span::default() }
    }
}

impl Arg {
    /// A value without place, to be written.
    pub fn new(value: Scalar) -> Self {
        Self { value, annotation: None, span: Span::default() }
    }

    /// A plain text.
    pub fn text(text: impl Into<Text>) -> Self {
        Self::new(Scalar::Text(text.into()))
    }

    fn is_like(&self, other: &Arg) -> bool {
        self.value == other.value && self.annotation == other.annotation
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&Text> {
        match &self.value {
            Scalar::Text(t) => Some(t),
            _ => None,
        }
    }

    /// True if annotated so.
    pub fn is_annotated(&self, annotation: &str) -> bool {
        self.annotation.as_deref() == Some(annotation)
    }
}
