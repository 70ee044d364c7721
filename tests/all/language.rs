//! The pages of the schema language: what they say about attributes comes from the kinds themselves, and every example is run.
//!
//! Between `<!-- kind: WORD -->` and `<!-- end -->` is what the kind says about itself. The `kdl` blocks of a page are the files of one
//! project: applied to an empty database they must leave nothing to do, and neither may what `pull` writes of it. They are in the canonical
//! form; a block `kdl short` declares the same as the block after it, in fewer words. `kdl since=N` needs version N. `<!-- role: NAME -->`
//! creates a role. `SETPOINT_UPDATE_DOCS=1` writes the tables and the canonical forms.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use setpoint::kdl::{self, Node};
use setpoint::kinds::meant::where_it_stands;
use setpoint::kinds::rooms;
use setpoint::kinds::scope::{article, rooms_in};
use setpoint::load;
use setpoint::model::{Attr, Form, Kind, OnChange, Shape, State, Within};

use crate::support::{Sandbox, TestDb, default_major, files, repository};

/// How many pages are tried at the same time.
const LANES: usize = 2;

/// What a kind says about itself: one sentence, where it belongs, what it may contain, its attributes.
fn description(kind: &'static Kind) -> Vec<String> {
    let mut out = vec![kind.doc.to_string(), String::new()];
    let place = where_it_stands(kind.word).unwrap_or_default().replacen("it ", "", 1);
    let parts = rooms_in(kind.word).filter_map(|room| match (room.kind().within, room.words()) {
        // Inside another part, it has its short form.
        (Within::Of(places), [short, ..]) if places.first() != Some(&kind.word) => Some(format!("`{short}`")),
        (Within::Any, _) => None,
        _ => Some(format!("`{}`", room.kind().word)),
    });
    let parts: Vec<String> = parts.collect();
    let inside = if parts.is_empty() { String::new() } else { format!(" It may contain {}.", parts.join(", ")) };
    out.push(format!("It {place}.{inside}"));
    if kind.attrs.iter().any(in_files) {
        out.push(String::new());
        out.push("| attribute | value | default | on change | meaning |".into());
        out.push("|---|---|---|---|---|".into());
        for attr in kind.attrs {
            rows(attr, "", &mut out);
        }
    }
    out
}

/// Derived attributes are not written to files.
fn in_files(attr: &Attr) -> bool {
    !attr.doc.ends_with("derived.")
}

fn rows(attr: &'static Attr, inside: &str, out: &mut Vec<String>) {
    if !in_files(attr) {
        return;
    }
    let (name, doc) = (attr.name, attr.doc.replace('|', "\\|"));
    let form = match attr.form {
        Form::Argument | Form::Arguments => format!("*{name}*"),
        Form::Property => format!("`{name}=`"),
        Form::Flag => format!("`{name}`"),
        Form::Child | Form::Repeated => format!("`{{ {name} }}`"),
        Form::Custom => name.to_string(),
    };
    let holds = match attr.shape {
        Shape::Flag if attr.form == Form::Property => "`#true`".into(),
        Shape::Flag => "a bare word".into(),
        Shape::Int => "a whole number".into(),
        Shape::Number => "a number".into(),
        Shape::Text => "a string".into(),
        Shape::Word(words) => words.iter().map(|w| format!("`{w}`")).collect::<Vec<_>>().join(", "),
        Shape::Name => "a name".into(),
        Shape::Names => "names".into(),
        Shape::Texts => "strings".into(),
        Shape::Type => "a type".into(),
        Shape::Expr => "SQL".into(),
        Shape::Query => "a query".into(),
        Shape::Body => "a string, verbatim".into(),
        Shape::Ref(kinds) => format!("{} {}", article(kinds.first().unwrap_or(&"")), kinds.join(" or ")),
        Shape::Refs(kinds) => format!("{}s", kinds.join("s or ")),
        Shape::Options => "`name=value` …".into(),
        Shape::Record(_) | Shape::Records(_) => "see below".to_string(),
    };
    let change = match attr.on_change {
        OnChange::Alter => "altered in place",
        OnChange::Replace => "recreated",
        OnChange::AlterIfSaid => "altered in place; never changed if omitted",
        OnChange::CreationOnly => "ignored",
    };
    let default = attr.default.map_or_else(String::new, |d| format!("`{d}`"));
    out.push(format!("| {inside}{form} | {holds} | {default} | {change} | {doc} |"));
    if let Shape::Record(table) | Shape::Records(table) = attr.shape {
        for part in table {
            rows(part, &format!("{inside}`{name}` → "), out);
        }
    }
}

/// One page, its lines, and the kinds that it describes.
struct Page {
    path: PathBuf,
    lines: Vec<String>,
    kinds: Vec<String>,
}

/// A `kdl` block: where its text begins in the page's lines, what stands after `kdl`, and the text.
struct Block {
    at: usize,
    mark: String,
    text: String,
}

impl Page {
    /// The page with what the kinds say now.
    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).expect("the page is there");
        let (mut lines, mut kinds) = (Vec::<String>::new(), Vec::new());
        let mut skipping = false;
        for line in text.lines() {
            if line == "<!-- end -->" {
                skipping = false;
            }
            if !skipping {
                lines.push(line.to_owned());
            }
            if let Some(word) = line.strip_prefix("<!-- kind: ").and_then(|rest| rest.strip_suffix(" -->")) {
                let room = rooms().iter().find(|room| room.kind().word == word);
                let room = room.unwrap_or_else(|| panic!("{}: there is no kind {word}", path.display()));
                lines.extend(description(room.kind()));
                kinds.push(word.to_owned());
                skipping = true;
            }
        }
        Self { path, lines, kinds }
    }

    fn name(&self) -> String {
        self.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }

    fn blocks(&self) -> Vec<Block> {
        let mut out: Vec<Block> = Vec::new();
        let mut open: Option<Block> = None;
        for (at, line) in self.lines.iter().enumerate() {
            match &mut open {
                Some(_) if line == "```" => out.extend(open.take()),
                Some(block) => block.text += &format!("{line}\n"),
                None => {
                    let mark = line.strip_prefix("```kdl").filter(|mark| mark.is_empty() || mark.starts_with(' '));
                    open = mark.map(|mark| Block { at: at + 1, mark: mark.trim().to_owned(), text: String::new() });
                }
            }
        }
        out
    }
}

/// The nodes of a text, those in `schema` blocks too, by schema, word and first arguments.
fn nodes(text: &str, out: &mut BTreeMap<String, Node>) {
    for node in kdl::read(0, text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}")) {
        if !is_block(&node) {
            out.insert(key("public", &node), node);
            continue;
        }
        let schema = node.args[0].as_text().expect("a schema has a name").to_string();
        for child in node.children {
            out.insert(key(&schema, &child), child);
        }
    }
}

/// True for a `schema` node that holds objects.
fn is_block(node: &Node) -> bool {
    &*node.name == "schema"
        && node.children.iter().any(|child| setpoint::kinds::scope::in_schema(&child.name).is_some())
}

fn key(schema: &str, node: &Node) -> String {
    let args = node.args.iter().take(if &*node.name == "cast" { 2 } else { 1 });
    let args: Vec<String> = args.filter_map(|a| a.as_text()).map(ToString::to_string).collect();
    let operands = node.props.iter().filter(|p| p.name.ends_with("-arg") || &*p.name == "for");
    let operands: Vec<String> = operands.map(|p| format!("{:?}", p.value.value)).collect();
    format!("{schema} {} {} {}", node.name, args.join(" "), operands.join(" "))
}

fn state(texts: &[String]) -> State {
    let files: Vec<(PathBuf, String)> =
        texts.iter().enumerate().map(|(at, text)| (PathBuf::from(format!("schema/{at}.kdl")), text.clone())).collect();
    load::load_texts(&files).unwrap_or_else(|error| panic!("{error}")).state
}

/// The text of a block in the form that `pull` writes, its objects where they stand.
fn canonical(block: &str, written: &BTreeMap<String, Node>) -> String {
    let as_written =
        |schema: &str, node: &Node| written.get(&key(schema, node)).cloned().unwrap_or_else(|| node.clone());
    let nodes = kdl::read(0, block).expect("it was read before").into_iter().map(|mut node| {
        let schema = node.args.first().and_then(|arg| arg.as_text()).map(ToString::to_string).unwrap_or_default();
        if is_block(&node) {
            node.children = node.children.iter().map(|child| as_written(&schema, child)).collect();
            return node;
        }
        as_written("public", &node)
    });
    kdl::format_nodes(&nodes.collect::<Vec<_>>())
}

/// Tries the examples of a page; what is wrong, and the page as it should be.
fn examples(page: &mut Page) -> Vec<String> {
    let mut wrong = Vec::new();
    let blocks = page.blocks();
    let whole: Vec<&Block> = blocks.iter().filter(|block| block.mark != "short").collect();
    let texts: Vec<String> = whole.iter().map(|block| block.text.clone()).collect();
    let desired = state(&texts);
    let mut written = BTreeMap::new();
    load::write::files(&desired).iter().for_each(|(_, text)| nodes(text, &mut written));
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| block.mark == "short") {
        let Some(long) = blocks.get(at + 1) else {
            wrong.push(format!("{}: no block after the short one in line {}", page.name(), block.at));
            continue;
        };
        let others = whole.iter().filter(|other| other.at != long.at).map(|other| other.text.clone());
        let short = state(&others.chain([block.text.clone()]).collect::<Vec<_>>());
        let differ = |a: &State, b: &State| a.iter().any(|(id, object)| b.get(id) != Some(object));
        if short.len() != desired.len() || differ(&short, &desired) {
            wrong.push(format!(
                "{}: the blocks in lines {} and {} do not say the same",
                page.name(),
                block.at,
                long.at
            ));
        }
    }
    for block in whole.iter().rev() {
        let right = canonical(&block.text, &written);
        if right != block.text {
            wrong.push(format!("{}: the canonical form of the block in line {} is\n{right}", page.name(), block.at));
            let end = block.at + block.text.lines().count();
            page.lines.splice(block.at..end, right.lines().map(str::to_owned));
        }
    }
    wrong.extend(layout(&blocks).into_iter().map(|problem| format!("{}: {problem}", page.name())));
    wrong.extend(on_a_server(page, &whole).into_iter().map(|problem| format!("{}: {problem}", page.name())));
    wrong
}

/// What `fmt` would change in the examples.
fn layout(blocks: &[Block]) -> Option<String> {
    let sandbox = Sandbox::empty();
    sandbox.write("setpoint.kdl", "");
    for block in blocks {
        sandbox.write(&format!("schema/line-{}.kdl", block.at), &block.text);
    }
    let names: Vec<String> = blocks.iter().map(|block| format!("schema/line-{}.kdl", block.at)).collect();
    let arguments: Vec<&str> = ["fmt", "--check"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let outcome = sandbox.run(&arguments);
    (outcome.code != 0).then(|| format!("{}{}", outcome.stdout, outcome.stderr))
}

/// Applies the examples to an empty database, and pulls them back.
fn on_a_server(page: &Page, blocks: &[&Block]) -> Vec<String> {
    let major = default_major();
    let since =
        |block: &Block| block.mark.strip_prefix("since=").map_or(0, |n| n.parse().expect("a version is a number"));
    let db = TestDb::new();
    for role in page.lines.iter().filter_map(|line| line.strip_prefix("<!-- role: ")?.strip_suffix(" -->")) {
        db.execute(&format!(
            "DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$"
        ));
    }
    let sandbox = Sandbox::new(&db);
    for (at, block) in blocks.iter().enumerate().filter(|(_, block)| since(block) <= major) {
        sandbox.write(&format!("schema/{at}.kdl"), &block.text);
    }
    let nothing = "Nothing to do.\n";
    let steps: [(&[&str], &str); 4] = [
        (&["push", "--auto-approve", "--allow", "all"], ""),
        (&["plan"], nothing),
        (&["pull", "--force"], ""),
        (&["plan"], nothing),
    ];
    for (arguments, expected) in steps {
        let outcome = sandbox.run(arguments);
        if outcome.code != 0 || !outcome.stdout.starts_with(expected) {
            return vec![format!("{}\n{}{}", arguments.join(" "), outcome.stdout, outcome.stderr)];
        }
    }
    Vec::new()
}

fn pages() -> Vec<Page> {
    let dir = repository().join("docs/language");
    files(&dir, ".md").into_iter().map(Page::read).collect()
}

/// The list of all pages, for the index.
fn contents(pages: &[Page]) -> Vec<String> {
    let other = pages.iter().filter(|page| page.name() != "README.md");
    let line = |page: &Page| {
        let title = page.lines.first().map_or("", |line| line.trim_start_matches("# "));
        let kinds: Vec<String> = page.kinds.iter().map(|word| format!("`{word}`")).collect();
        format!("| [{title}]({}) | {} |", page.name(), kinds.join(", "))
    };
    ["| page | kinds |".to_owned(), "|---|---|".to_owned()].into_iter().chain(other.map(line)).collect()
}

#[test]
fn pages_say_what_kinds_are_and_examples_work() {
    let mut pages = pages();
    let contents = contents(&pages);
    if let Some(index) = pages.iter_mut().find(|page| page.name() == "README.md") {
        let find = |lines: &[String], mark: &str| lines.iter().position(|line| line == mark);
        let from = find(&index.lines, "<!-- pages -->").expect("the index lists the pages") + 1;
        let to = find(&index.lines, "<!-- end of pages -->").expect("the list ends");
        index.lines.splice(from..to, contents);
    }
    let mut wrong: Vec<String> = Vec::new();
    for room in rooms() {
        let word = room.kind().word;
        let count = pages.iter().flat_map(|page| &page.kinds).filter(|kind| *kind == word).count();
        if count != 1 {
            wrong.push(format!("the kind {word} is described {count} times in docs/language"));
        }
    }
    for page in &pages {
        if fs::read_to_string(&page.path).ok().as_deref() != Some(&page.text()) {
            wrong.push(format!("{}: the kinds say something else than its tables", page.name()));
        }
    }
    let only = std::env::var("SETPOINT_PAGE").unwrap_or_default();
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<String>> = Mutex::default();
    let slots: Vec<Mutex<Page>> = pages.into_iter().map(Mutex::new).collect();
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut page = slot.lock().expect("nobody else has it");
                    if page.name().contains(&only) && !page.blocks().is_empty() {
                        let name = page.name();
                        let tried = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| examples(&mut page)));
                        let problems = tried.unwrap_or_else(|_| vec![format!("{name}: its examples cannot be read")]);
                        found.lock().expect("nobody panicked").extend(problems);
                    }
                }
            });
        }
    });
    wrong.extend(found.into_inner().expect("nobody panicked"));
    if std::env::var_os("SETPOINT_UPDATE_DOCS").is_some() {
        for slot in slots {
            let page = slot.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            fs::write(&page.path, page.text()).expect("the page can be written");
        }
    }
    assert!(wrong.is_empty(), "{} things are wrong in docs/language:\n{}", wrong.len(), wrong.join("\n\n"));
}
