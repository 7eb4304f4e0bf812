//! Golden output: the whole text that each verb shows on terminals of 80 and of 120 columns. Each
//! command runs the built `skep` against real sshd processes and scripted Docker daemons. After a
//! change of messages, `INSTA_UPDATE=always cargo test --test it output` accepts the output of all
//! verbs; without `output`, it accepts that of the other tests as well. Review the result with `git
//! diff tests/it/output/snapshots`.

mod apply;
mod check;
mod docker;
mod drill;
mod history;
mod json;
mod node;
mod ping;
mod plan;
pub mod redact;
mod stage;
mod status;
mod terminal;
mod validate;

use terminal::fold;

/// Compares a text with the snapshot file of this name.
#[track_caller]
pub fn golden(name: &str, text: &str) {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/it/output/snapshots"
    ));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Compares the transcripts of a scene on terminals of 80 and of 120 columns with the snapshot file
/// of this name. The file holds one text if both terminals show the same, and two otherwise.
#[track_caller]
pub fn golden_at_both_widths(name: &str, scene: impl Fn(usize) -> String) {
    let (narrow, wide) = (fold(&scene(80), 80), fold(&scene(120), 120));
    let text = if narrow == wide {
        format!("==== 80 and 120 columns\n{narrow}")
    } else {
        format!("==== 80 columns\n{narrow}\n==== 120 columns\n{wide}")
    };
    golden(name, &text);
}
