//! Reads one play and the resources that it declares.

use std::sync::Arc;

use super::rendered::StaticRendering;
use super::template::PlaybookFolder;
use crate::diagnostic::{SourceFile, SourceSpan};
use crate::document::{FieldReader, TomlEntry, TomlNode, TomlValue, did_you_mean};
use crate::inventory::VariableMap;
use crate::kinds::KINDS;

/// Keys that are allowed beside the kind in a resource's table.
pub const META_KEYS: &[&str] = &["tags", "when", "loop"];

const PLAY_KEYS: &[&str] = &[
    "name",
    "hosts",
    "serial",
    "max_fail",
    "barrier",
    "drain",
    "allow_interruption",
    "tags",
    "when",
    "resources",
];

/// Rule of a play that drains the node of a host before its Engine restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DrainRule {
    /// True if services may be interrupted.
    pub allow_interruption: bool,
}

/// A play as written in a file.
#[derive(Debug, Clone)]
pub struct Play {
    /// Name of the play; its host patterns if it has no name.
    pub name: String,
    /// Place where the play begins.
    pub place: SourceSpan,
    /// Host patterns; a host that any pattern selects is in the play.
    pub hosts: Vec<(String, SourceSpan)>,
    /// Number of hosts processed at once; `None` means as many as there are forks.
    pub serial: Option<usize>,
    /// Number of hosts that may fail before the play stops; `None` means that a failure stops only
    /// its own host.
    pub max_fail: Option<usize>,
    /// False if no host waits for others before the play, true if each host does; `None` if the
    /// kinds of its resources decide.
    pub barrier: Option<bool>,
    /// `drain = true`: the node of a host is drained before its Engine restarts.
    pub drain: Option<DrainRule>,
    /// Resources of the play, in order.
    pub declarations: Vec<Arc<ResourceDecl>>,
    /// File name of the playbook that the play belongs to, which may include the play's file.
    pub(super) playbook: Arc<str>,
    /// Variables of the playbook that the play belongs to.
    pub(super) vars: Arc<VariableMap>,
    /// Folder of the play's file, where templates and source files are searched.
    pub(super) folder: Arc<PlaybookFolder>,
}

/// A resource as written: a kind's table with templates, and the keys beside it.
#[derive(Debug)]
pub struct ResourceDecl {
    /// Kind of the resource, one of [`KINDS`].
    pub kind: &'static str,
    /// Table of the kind, not yet rendered.
    pub table: TomlNode,
    /// Place where the resource begins.
    pub place: SourceSpan,
    /// Tags of the resource, of its play and of the includes that led to it.
    pub tags: Vec<String>,
    /// Expressions that must all be true.
    pub conditions: Vec<TomlNode>,
    /// `loop`: a list, or an expression that gives a list.
    pub repeat: Option<TomlNode>,
    /// File of the resource.
    pub source: Arc<SourceFile>,
    /// Rendered table, if it is the same on every host.
    pub(super) fixed: StaticRendering,
}

/// Data that a play inherits from its file.
pub(super) struct FileContext<'a> {
    pub(super) tags: &'a [String],
    pub(super) vars: &'a Arc<VariableMap>,
    pub(super) folder: &'a Arc<PlaybookFolder>,
}

impl Play {
    /// Reads one `[[plays]]`. Resources with errors are reported and left out.
    pub(super) fn read(
        reader: &mut FieldReader<'_>,
        node: &TomlNode,
        around: &FileContext<'_>,
    ) -> Option<Self> {
        let entries = reader.table(node, "plays")?;
        reader.only_keys(entries, "a play", PLAY_KEYS);
        let mut play = Self {
            name: String::new(),
            place: reader.place(&node.span),
            hosts: Vec::new(),
            serial: None,
            max_fail: None,
            barrier: None,
            drain: None,
            declarations: Vec::new(),
            playbook: Arc::default(),
            vars: Arc::clone(around.vars),
            folder: Arc::clone(around.folder),
        };
        let mut meta = MetaArguments {
            tags: around.tags.to_vec(),
            conditions: Vec::new(),
            repeat: None,
        };
        for entry in entries {
            play.take(reader, entry, &mut meta);
        }
        play.read_drain(reader, node);
        if play.name.is_empty() {
            let patterns: Vec<&str> = play
                .hosts
                .iter()
                .map(|(pattern, _)| pattern.as_str())
                .collect();
            play.name = patterns.join(",");
        }
        for item in node
            .entry("resources")
            .and_then(|entry| reader.list(&entry.node, "resources"))
            .unwrap_or_default()
        {
            play.declarations
                .extend(ResourceDecl::read(reader, item, &meta).map(Arc::new));
        }
        let span = node
            .entry("hosts")
            .map_or(&node.span, |entry| &entry.node.span);
        let is_missing = node
            .entry("hosts")
            .is_none_or(|entry| entry.node.value == TomlValue::Array(Vec::new()));
        if is_missing {
            reader.error(
                span,
                "this play has no `hosts`",
                Some("e.g. `hosts = \"all\"`".into()),
            );
        }
        if play.hosts.is_empty() {
            return None;
        }
        Some(play)
    }

    /// Reads `drain` and `allow_interruption`, which depend on each other.
    fn read_drain(&mut self, reader: &mut FieldReader<'_>, node: &TomlNode) {
        let mut flag = |key: &str| {
            let entry = node.entry(key)?;
            reader.boolean(&entry.node, key)
        };
        let (drain, allow_interruption) = (flag("drain"), flag("allow_interruption"));
        if drain == Some(true) {
            self.drain = Some(DrainRule {
                allow_interruption: allow_interruption.unwrap_or(false),
            });
        } else if let Some(entry) = node.entry("allow_interruption") {
            reader.error(
                &entry.node.span,
                "`allow_interruption` is about a drain, and this play drains no node",
                Some("add `drain = true`, or remove it".into()),
            );
        }
    }

    fn take(&mut self, reader: &mut FieldReader<'_>, entry: &TomlEntry, meta: &mut MetaArguments) {
        let (node, key) = (&entry.node, entry.key.as_str());
        let mut count = |least| {
            reader
                .integer(node, key, least..=i64::MAX)
                .and_then(|count| usize::try_from(count).ok())
        };
        match key {
            "serial" => self.serial = count(1),
            "max_fail" => self.max_fail = count(0),
            "drain" | "allow_interruption" => {}
            "barrier" => self.barrier = reader.boolean(node, key),
            "name" => self.name = reader.string(node, key).unwrap_or_default().to_owned(),
            "hosts" => {
                let patterns = reader.strings(node, key).unwrap_or_default();
                self.hosts = patterns
                    .iter()
                    .map(|(text, span)| ((*text).to_owned(), string_place(reader, text, span)))
                    .collect();
            }
            _ => meta.take(reader, entry),
        }
    }
}

// The place of the pattern's text without its quotes, so that an error can point at a single term.
fn string_place(reader: &FieldReader<'_>, text: &str, span: &std::ops::Range<usize>) -> SourceSpan {
    let raw = reader.source.text().get(span.clone()).unwrap_or_default();
    let start = raw.find(text).map_or(span.start, |at| span.start + at);
    reader.place(&(start..start + text.len()))
}

#[derive(Clone)]
struct MetaArguments {
    tags: Vec<String>,
    conditions: Vec<TomlNode>,
    repeat: Option<TomlNode>,
}

impl MetaArguments {
    fn take(&mut self, reader: &mut FieldReader<'_>, entry: &TomlEntry) {
        let node = &entry.node;
        match entry.key.as_str() {
            "tags" => self.tags.extend(read_tags(reader, node)),
            "when" => match node.value {
                TomlValue::String(_) | TomlValue::Boolean(_) => self.conditions.push(node.clone()),
                _ => reader.wrong_type(node, "when", "an expression, e.g. \"swarm_size > 1\""),
            },
            "loop" => match node.value {
                TomlValue::String(_) | TomlValue::Array(_) => self.repeat = Some(node.clone()),
                _ => reader.wrong_type(node, "loop", "a list or an expression that gives a list"),
            },
            _ => {}
        }
    }
}

/// Reads `tags`.
pub(super) fn read_tags(reader: &mut FieldReader<'_>, node: &TomlNode) -> Vec<String> {
    let mut tags = Vec::new();
    for (tag, span) in reader.strings(node, "tags").unwrap_or_default() {
        if tag.is_empty() || tag.contains(|letter: char| letter.is_whitespace() || letter == ',') {
            reader.error(
                span,
                format!("`{tag}` is not a valid tag"),
                Some("a tag is one word without a comma".into()),
            );
        } else {
            tags.push(tag.to_owned());
        }
    }
    tags
}

impl ResourceDecl {
    fn read(reader: &mut FieldReader<'_>, node: &TomlNode, play: &MetaArguments) -> Option<Self> {
        let Some(entries) = node.as_table() else {
            reader.wrong_type(
                node,
                "a resource",
                "a table such as { package = { name = \"curl\" } }",
            );
            return None;
        };
        let mut meta = play.clone();
        let mut found: Option<(&'static str, &TomlEntry)> = None;
        let mut is_sound = true;
        for entry in entries {
            match KINDS.iter().copied().find(|kind| *kind == entry.key) {
                Some(kind) if found.is_none() => found = Some((kind, entry)),
                Some(kind) => {
                    let hint = "a resource has one kind; write two tables".to_owned();
                    reader.error(
                        &entry.key_span,
                        format!("a second kind, `{kind}`, in one resource"),
                        Some(hint),
                    );
                    is_sound = false;
                }
                None if META_KEYS.contains(&entry.key.as_str()) => meta.take(reader, entry),
                None => {
                    let has_kind = entries
                        .iter()
                        .any(|other| KINDS.contains(&other.key.as_str()));
                    let known: Vec<&str> = if has_kind {
                        META_KEYS.to_vec()
                    } else {
                        [KINDS, META_KEYS].concat()
                    };
                    let what = if has_kind { "key" } else { "kind" };
                    let hint = did_you_mean(&entry.key, known);
                    reader.error(
                        &entry.key_span,
                        format!("unknown {what} `{}` of a resource", entry.key),
                        hint,
                    );
                    is_sound = false;
                }
            }
        }
        if found.is_none() && is_sound {
            let hint = format!("one of {}", KINDS.join(", "));
            reader.error(&node.span, "this resource has no kind", Some(hint));
        }
        let (kind, entry) = found.filter(|_| is_sound)?;
        Some(Self {
            kind,
            table: entry.node.clone(),
            place: reader.place(&entry.key_span),
            tags: meta.tags,
            conditions: meta.conditions,
            repeat: meta.repeat,
            source: Arc::clone(reader.source),
            fixed: StaticRendering::default(),
        })
    }
}
