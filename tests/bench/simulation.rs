//! Hosts without machines: the cost of the runner itself. Every simulated host answers gather's
//! script with the recorded answer of this machine, which leaves only the work of skep: scripts,
//! parsing, kinds, events, the summary.

use std::collections::HashMap;
use std::process::Command;
use std::sync::{Arc, Mutex};

use skep::inventory::InventoryRequest;
use skep::names::HostName;
use skep::playbook::{ResolveOptions, RunRequest, prepare};
use skep::runner::{Connector, EventSender, Fleet, run_read_only};
use skep::transport::{Connection, DockerStream, Exec, ExecOutput, TransportError};

use super::figures::{median, timed};
use super::server::BenchServer;
use super::work::{FORKS, inventory};

/// Numbers of hosts; the cost of the first is subtracted, because it holds the fixed cost of a run.
const SIZES: [usize; 3] = [10, 1000, 5000];
const RUNS: usize = 3;

/// Length of gather's marker, `skep-` and 32 digits: a new one in each script.
const MARKER: usize = 37;

/// Prints the cost for each size.
pub fn run(server: &BenchServer, playbook: &str) {
    println!(
        "\nsimulated hosts, 20 resources each: the runner without a network, median of {RUNS} runs"
    );
    println!(
        "{:>6}  {:>8} {:>8} {:>9}  {:>14} {:>14}",
        "N", "wall s", "cpu s", "MiB", "wall ms/host", "cpu ms/host"
    );
    let mut least = None;
    for size in SIZES {
        let inventory = inventory(server, size, server.port());
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--simulate", &inventory, playbook]);
        let runs: Vec<_> = (0..RUNS).map(|_| timed(&mut command, &[0]).0).collect();
        let figures = median(&runs);
        let base = *least.get_or_insert(figures);
        let each =
            |all: f64, few: f64| (all - few) * 1000.0 / (size.max(SIZES[0] + 1) - SIZES[0]) as f64;
        println!(
            "{size:>6}  {:>8.3} {:>8.3} {:>9.1}  {:>14.3} {:>14.3}",
            figures.wall,
            figures.cpu,
            figures.memory_mib,
            each(figures.wall, base.wall),
            each(figures.cpu, base.cpu)
        );
    }
}

/// Loads, resolves and reads, in this process.
pub fn child(inventory: &str, playbook: &str) {
    check_fleet(inventory, playbook, &Arc::default());
}

/// Returns the script that gather sends for this playbook, as a host would get it.
pub fn script(inventory: &str, playbook: &str) -> String {
    let simulation = Arc::new(RecordedAnswers::default());
    check_fleet(inventory, playbook, &simulation);
    simulation.script.lock().unwrap().clone()
}

fn check_fleet(inventory: &str, playbook: &str, simulation: &Arc<RecordedAnswers>) {
    let inventory = InventoryRequest {
        paths: vec![inventory.into()],
        extra_vars: Vec::new(),
    };
    let options = ResolveOptions {
        limit: Vec::new(),
        tags: Vec::new(),
        skip_tags: Vec::new(),
    };
    let prepared = prepare(&RunRequest {
        inventory,
        playbooks: vec![playbook.into()],
        options,
    })
    .unwrap();
    let work = Arc::new(prepared.resolved);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let summary = runtime.block_on(async {
        let hosts: Vec<HostName> = work.hosts();
        let fleet = Arc::new(Fleet::new(
            Arc::new(SimulatedConnector(simulation.clone())),
            hosts,
            EventSender::silent(),
        ));
        run_read_only(
            &fleet,
            &work,
            FORKS,
            None,
            None,
            &tokio_util::sync::CancellationToken::new(),
        )
        .await
    });
    assert!(
        !summary.differs() && !summary.failed() && !summary.unreachable(),
        "the hosts are converged"
    );
    assert_eq!(summary.hosts.len(), work.hosts().len());
}

/// Recorded answers of this machine.
#[derive(Default)]
struct RecordedAnswers {
    /// Answers by script without its marker.
    answers: Mutex<HashMap<String, Arc<str>>>,
    /// The last new script, with its marker.
    script: Mutex<String>,
}

struct SimulatedConnector(Arc<RecordedAnswers>);

#[async_trait::async_trait]
impl Connector for SimulatedConnector {
    async fn connect(&self, _host: &HostName) -> Result<Arc<dyn Connection>, TransportError> {
        Ok(Arc::new(SimulatedHost(self.0.clone())))
    }
}

struct SimulatedHost(Arc<RecordedAnswers>);

#[async_trait::async_trait]
impl Connection for SimulatedHost {
    async fn exec(&self, exec: Exec) -> Result<ExecOutput, TransportError> {
        let start = exec.script.find("skep-").unwrap();
        let marker = &exec.script[start..start + MARKER];
        let key = exec.script.replace(marker, "MARKER");
        let mut answers = self.0.answers.lock().unwrap();
        let answer = answers.entry(key).or_insert_with(|| {
            let output = Command::new("sh")
                .arg("-c")
                .arg(exec.script.as_ref())
                .output()
                .unwrap();
            *self.0.script.lock().unwrap() = exec.script.clone().into_owned();
            String::from_utf8(output.stdout)
                .unwrap()
                .replace(marker, "MARKER")
                .into()
        });
        let answer = answer.clone();
        drop(answers);
        Ok(ExecOutput {
            status: 0,
            stdout: answer.replace("MARKER", marker).into_bytes(),
            stderr: Vec::new(),
        })
    }

    async fn open_docker(&self) -> Result<DockerStream, TransportError> {
        Err(TransportError::NoDocker {
            installed: false,
            why: "simulated".into(),
        })
    }

    async fn close(&self) {}
}
