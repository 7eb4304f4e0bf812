//! Causes of drift. They come from the record on the host, which never overrides the observed
//! state.

use super::site::DriftSite;

const RECORD: &str = "/var/lib/skep/applied.json";

#[test]
fn causes_distinguish_host_and_playbook_changes() {
    let site = DriftSite::new(1);
    site.write("motd.j2", "hello\n");
    site.playbook(
        "{ file = { path = 'HOST/motd', template = 'motd.j2' } },\n{ directory = { path = 'HOST/data', mode = '0750' } },",
    );
    site.run("check", &[])
        .exits(3)
        .says("[never applied]")
        .does_not_say("[not yet applied]");
    site.run("apply", &["--yes"]).exits(0);
    site.run("check", &[]).exits(0).says("In sync");
    let record = site.on(0, &format!("stat -c '%a %U' {RECORD}; cat {RECORD}"));
    assert!(record.starts_with("600 root\n"), "{record}");

    let before = site.on(0, &format!("stat -c '%i %Y' {RECORD}"));
    site.run("apply", &["--yes"])
        .exits(0)
        .says("In sync, checked");
    assert_eq!(
        site.on(0, &format!("stat -c '%i %Y' {RECORD}")),
        before,
        "nothing new, nothing written"
    );

    site.write("host-a/motd", "edited by hand\n");
    site.run("check", &[])
        .exits(3)
        .says("[changed behind our back]")
        .does_not_say("[not yet applied]");
    // The content of a template is part of the definition.
    site.write("host-a/motd", "hello\n");
    site.write("motd.j2", "hello again\n");
    site.run("check", &[])
        .exits(3)
        .says("[not yet applied]")
        .does_not_say("[changed behind our back]");

    // Tags and other playbooks leave the rest of the record unchanged.
    let first = site.read("playbook.toml");
    site.playbook("{ file = { path = 'HOST/other', content = 'x' } },");
    site.run("apply", &["--yes"]).exits(0);
    site.write("playbook.toml", &first);
    site.run("check", &[])
        .exits(3)
        .says("[not yet applied]")
        .does_not_say("[never applied]");
}

#[test]
fn unusable_record_is_reported_and_rewritten() {
    let site = DriftSite::new(1);
    site.playbook("{ file = { path = 'HOST/x', content = 'hunter2', secret = true } },");
    site.run("apply", &["--yes"]).exits(0);
    for (damage, why) in [
        (format!("printf '{{' >{RECORD}"), "damaged"),
        (
            format!("printf '{{\"version\":99}}' >{RECORD}"),
            "version 99",
        ),
        (format!("chmod 644 {RECORD}"), "only root"),
    ] {
        site.on(0, &damage);
        site.write("host-a/x", "else");
        let said = site.run("check", &[]).exits(3).says("[unknown]").says(why);
        assert!(!said.stdout.contains("hunter2"));
        site.run("apply", &["--yes"]).exits(0);
        site.write("host-a/x", "else");
        site.run("check", &[])
            .exits(3)
            .says("[changed behind our back]")
            .does_not_say("not used");
    }
}

#[test]
fn unwritable_record_is_reported_and_apply_succeeds() {
    let site = DriftSite::new(1);
    site.playbook("{ file = { path = 'HOST/x', content = 'x' } },");
    site.on(0, "mount -o remount,ro /var/lib/skep");
    site.run("apply", &["--yes"])
        .exits(0)
        .says("could not be recorded");
    assert_eq!(site.read("host-a/x"), "x");
    site.run("check", &[]).exits(0).says("In sync");
}
