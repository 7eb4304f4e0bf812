//! Checks docs/files.md against the loader: its example resolves, and every listed key is known.

use super::project::TestProject;

const DOCUMENT: &str = include_str!("../../../docs/files.md");

/// Returns the names in the first column of the table that follows a heading line.
fn first_column(heading: &str) -> Vec<&'static str> {
    let start = DOCUMENT
        .find(heading)
        .unwrap_or_else(|| panic!("{heading} is missing"));
    let rows = DOCUMENT[start..]
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    rows.filter_map(|row| row.split('`').nth(1)).collect()
}

#[test]
fn documented_example_resolves() {
    let example = DOCUMENT
        .split("```toml\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let project = TestProject::new(&[
        ("playbooks/site.toml", example),
        ("playbooks/docker.toml", "[vars]\nswarm_size = 3\n"),
        (
            "playbooks/swarm.toml",
            "[[plays]]\nhosts = 'all'\nresources = []\n",
        ),
    ]);
    let prepared = project
        .prepare()
        .unwrap_or_else(|errors| panic!("{}", project.shown(&errors)));
    let host_resources = &prepared.resolved.plays[1].host_resources[0];
    assert_eq!(host_resources.len(), 2);
    assert_eq!(host_resources[0].tags, ["db", "data"]);
}

#[test]
fn documented_settings_match_known_settings() {
    let listed = first_column("| connection setting |");
    for setting in &listed {
        let project =
            TestProject::new(&[("inventory.toml", &format!("[hosts.a]\n{setting} = {{}}\n"))]);
        let lines = project.error_lines();
        assert!(
            lines[0].starts_with(&format!(
                "inventory.toml:2:{}: `{setting}` must be ",
                setting.len() + 4
            )),
            "{lines:?}"
        );
    }
    // An unknown key that is near to none of them makes the error list all known keys.
    let project = TestProject::new(&[("inventory.toml", "[hosts.a]\nzzzzzzzzzzzzzzzzzz = 1\n")]);
    let errors = project.prepare().unwrap_err();
    let known = errors.iter().next().unwrap().hint.clone().unwrap();
    let known: Vec<&str> = known
        .trim_start_matches("known names: ")
        .split(", ")
        .collect();
    for key in known
        .iter()
        .filter(|key| !["address", "groups", "vars", "unmanaged", "not_running"].contains(key))
    {
        assert!(listed.contains(key), "{key} is not in docs/files.md");
    }
    assert_eq!(known.len(), listed.len() + 5);
}

#[test]
fn documented_patterns_select_hosts() {
    let inventory = "[hosts.docker01]\ngroups=['managers','a','b']\n[hosts.web1]\ngroups=['a']\n[hosts.x]\ngroups=['a','b']\n";
    let project = TestProject::new(&[("inventory.toml", inventory)]);
    let inventory =
        skep::inventory::Inventory::load(&[project.path("inventory.toml")], &[]).unwrap();
    let start = DOCUMENT.find("| pattern | hosts |").unwrap();
    let rows: Vec<&str> = DOCUMENT[start..]
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(rows.len() >= 6);
    for pattern in rows
        .iter()
        .flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
    {
        assert!(
            !inventory
                .select(pattern)
                .unwrap_or_else(|error| panic!("{pattern}: {error}"))
                .is_empty(),
            "{pattern}"
        );
    }
}
