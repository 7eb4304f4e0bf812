//! `skep history`: since when resources drift.

use super::golden_at_both_widths;
use super::stage::Stage;

#[test]
fn drift_comes_and_goes() {
    let stage = Stage::new(2);
    stage.playbook("  { file = { path = '/srv/one', content = 'x' } },\n  { file = { path = '/srv/two', content = 'x' } },");
    let show = |name| golden_at_both_widths(name, |width| stage.verb(width, "history", &[]));
    show("history_none");
    stage.quietly("apply", &["--yes"]);
    stage.quietly("check", &[]);
    show("history_no_drift");
    stage.on(1, "echo other >/srv/one; echo other >/srv/two");
    stage.quietly("check", &[]);
    stage.on(1, "printf x >/srv/one");
    stage.on(2, "rm /srv/two");
    stage.quietly("check", &[]);
    show("history_drift");
}
