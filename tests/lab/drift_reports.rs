//! Reports of a real swarm: members, roles, labels and voters beside the drift.

use serde_json::Value;

use crate::test_lab::TestLab;

#[test]
fn reports_include_swarm_members() {
    let lab = TestLab::with_docker("drift", &[]);
    lab.web2py("apply", &["--yes"]).exits(0);
    let (report, metrics, page) = (lab.path("r.json"), lab.path("m.prom"), lab.path("p.html"));
    let outputs = [
        "--report",
        &report,
        "--metrics",
        &metrics,
        "--html",
        &page,
        "--keep",
        "0",
    ];
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let json = || -> Value { serde_json::from_str(&read(&report)).unwrap() };

    lab.web2py("check", &outputs).exits(0);
    let cluster = &json()["cluster"];
    assert_eq!(
        (&cluster["managers"], &cluster["voters"]),
        (&1.into(), &1.into()),
        "{cluster:#}"
    );
    let members: Vec<(&str, &str)> = cluster["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| {
            (
                member["host"].as_str().unwrap(),
                member["role"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        members,
        [
            ("docker01", "manager"),
            ("docker02", "worker"),
            ("docker03", "worker")
        ]
    );
    assert_eq!(cluster["members"][1]["labels"]["web2py.tier.db"], "true");
    assert_eq!(cluster["problems"], serde_json::json!([]));
    assert!(read(&metrics).contains("skep_swarm_members{playbook=\"web2py\",role=\"worker\"} 2\n"));
    assert!(
        read(&page).contains("web2py.tier.db=true"),
        "the page shows the label"
    );

    // Changes by hand, in the swarm and on a host.
    lab.on(
        "docker01",
        "docker node update --label-rm web2py.tier.db docker02",
    );
    lab.on("docker02", "ln -sfn /tmp /home/vagrant/web2py/apache2/conf");
    let said = lab
        .web2py("check", &outputs)
        .exits(3)
        .says("[changed behind our back]");
    assert_eq!(
        said.stdout.matches("[changed behind our back]").count(),
        2,
        "{}",
        said.stdout
    );
    assert!(
        said.stdout.matches("[not yet applied]").count() == 0,
        "{}",
        said.stdout
    );

    // With --limit, members outside the limit are not reported as unknown.
    lab.web2py("check", &[&outputs[..], &["--limit", "docker01"]].concat());
    let cluster = &json()["cluster"];
    assert_eq!(
        (
            cluster["members"].as_array().unwrap().len(),
            &cluster["problems"]
        ),
        (3, &serde_json::json!([]))
    );
}
