//! Stages of a run: consecutive plays without a barrier between them. A host goes through all plays
//! of a stage without waiting for other hosts.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::names::HostName;
use crate::playbook::{ResolvedPlay, ResolvedPlaybook};
use crate::runner::event::{Event, EventSender};

/// A play of a stage.
struct StagedPlay {
    index: usize,
    name: String,
    hosts: Vec<HostName>,
}

/// Plays that run without a barrier between them.
pub(super) struct PlayStage {
    plays: Vec<StagedPlay>,
    begun: Mutex<BTreeSet<usize>>,
}

impl PlayStage {
    /// Returns the stage of these plays; each has its index, its name and the hosts that take part.
    pub(super) fn new(plays: impl IntoIterator<Item = (usize, String, Vec<HostName>)>) -> Self {
        let plays = plays
            .into_iter()
            .map(|(index, name, hosts)| StagedPlay { index, name, hosts });
        Self {
            plays: plays.collect(),
            begun: Mutex::default(),
        }
    }

    /// Reports that the play begins, when its first host begins it.
    pub(super) async fn begin(&self, events: &EventSender, play: usize) {
        let is_first = self
            .begun
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(play);
        if let Some(staged) = self.plays.iter().find(|staged| staged.index == play)
            && is_first
        {
            events
                .send(Event::PlayStarted {
                    play: staged.name.clone(),
                    hosts: staged.hosts.clone(),
                })
                .await;
        }
    }
}

/// Returns the stages of a playbook, each as the indices of its plays.
pub(super) fn stages(work: &ResolvedPlaybook) -> Vec<Vec<usize>> {
    let mut stages: Vec<Vec<usize>> = Vec::new();
    for (index, play) in work.plays.iter().enumerate() {
        let goes_on = !play.has_barrier() && !counts_hosts(play);
        match stages.last_mut() {
            Some(stage) if goes_on && !stage.iter().any(|of| counts_hosts(&work.plays[*of])) => {
                stage.push(index);
            }
            _ => stages.push(vec![index]),
        }
    }
    stages
}

/// Returns true if the play has a limit of its own for the hosts at once, or for failed hosts.
fn counts_hosts(play: &ResolvedPlay) -> bool {
    play.serial.is_some() || play.max_fail.is_some()
}
