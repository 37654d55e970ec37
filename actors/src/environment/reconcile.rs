//! What an environment's actor does next: a pure function of what is wanted and what is seen.

use devpocket_protocol::agent::Phase;

use crate::persistence::{DesiredState, EnvironmentStatus};
use crate::runtime::Observed;

/// What is known of an environment.
#[derive(Debug, Clone)]
pub(super) struct Situation<'a> {
    /// What is wanted.
    pub desired: DesiredState,
    /// What the runtime sees; `None` until it was asked.
    pub observed: Option<&'a Observed>,
    /// Why the runtime can't be asked, if it can't.
    pub unseen: Option<&'a str>,
    /// What the agent tells; `None` until it was asked.
    pub phase: Option<&'a Phase>,
    /// The instance that a restart is to end.
    pub replaces: Option<&'a str>,
    /// Why its agent can't be used, though it runs.
    pub trouble: Option<&'a str>,
    /// Whether it came up before: it starts, and is not made.
    pub installed: bool,
    /// The status that was last shown.
    pub shown: EnvironmentStatus,
}

/// One step towards what is wanted. Each may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Make it run.
    Ensure,
    /// End what runs.
    Stop,
    /// Remove it with its volume.
    Delete,
}

impl Situation<'_> {
    /// The next step, if there is one to take. What has failed for good waits for a person:
    /// only a change of what is wanted moves it.
    pub(super) fn next_step(&self) -> Option<Step> {
        let observed = self.observed?;
        match self.desired {
            DesiredState::Terminated => Some(Step::Delete),
            DesiredState::Stopped => (*observed != Observed::Absent).then_some(Step::Stop),
            DesiredState::Running if self.is_to_be_replaced() => Some(Step::Stop),
            DesiredState::Running => (*observed == Observed::Absent).then_some(Step::Ensure),
        }
    }

    /// Whether the instance that runs is the one that a restart is to end.
    pub(super) fn is_to_be_replaced(&self) -> bool {
        match self.observed {
            Some(Observed::Running { instance, .. }) => self.replaces == Some(instance.as_str()),
            _ => false,
        }
    }

    /// The status to show, and why.
    pub(super) fn status(&self) -> (EnvironmentStatus, Option<String>) {
        use EnvironmentStatus as S;
        let Some(observed) = self.observed else { return (self.shown, self.unseen.map(str::to_owned)) };
        let status = match (self.desired, observed) {
            // Shown as stopping until it is gone; the actor marks it terminated then.
            (DesiredState::Terminated, _) => S::Stopping,
            (DesiredState::Stopped, Observed::Absent) => S::Stopped,
            (DesiredState::Stopped, Observed::Failed(_)) => S::Stopping,
            (DesiredState::Stopped, _) => S::Stopping,
            (DesiredState::Running, Observed::Failed(reason)) => return (S::Error, Some(reason.clone())),
            (DesiredState::Running, _) if self.is_to_be_replaced() => S::Restarting,
            (DesiredState::Running, Observed::Running { after, .. }) => {
                let status = match self.phase {
                    _ if self.trouble.is_some() => return (S::Error, self.trouble.map(str::to_owned)),
                    Some(Phase::Installing) => S::Installing,
                    Some(Phase::Configuring) => S::Configuring,
                    Some(Phase::Ready { .. }) => S::Running,
                    // It runs and its agent has not spoken yet: after a restart of the server it
                    // is still what it was.
                    None if self.shown == S::Running => S::Running,
                    None if self.shown == S::Restarting => S::Restarting,
                    None => S::Provisioning,
                };
                // Told for as long as this instance runs: whoever looks the next morning finds
                // out as well why their programs are gone.
                return (status, after.clone());
            }
            (DesiredState::Running, Observed::Starting(reason)) => {
                let status = match self.shown {
                    // It ran, or was about to, and comes back by itself.
                    S::Restarting | S::Running | S::Installing | S::Configuring => S::Restarting,
                    _ => S::Provisioning,
                };
                return (status, reason.clone());
            }
            (DesiredState::Running, Observed::Absent) => match self.shown {
                S::Creating | S::Restarting => self.shown,
                // It ran and is gone: it comes back by itself.
                S::Running | S::Installing | S::Configuring => S::Restarting,
                _ if self.installed => S::Provisioning,
                _ => S::Creating,
            },
        };
        (status, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EnvironmentStatus as S;

    fn situation<'a>(desired: DesiredState, observed: &'a Observed, shown: S) -> Situation<'a> {
        Situation {
            desired,
            observed: Some(observed),
            unseen: None,
            phase: None,
            replaces: None,
            trouble: None,
            installed: false,
            shown,
        }
    }

    fn running() -> Observed {
        Observed::Running { instance: "i".into(), after: None }
    }

    #[test]
    fn nothing_is_done_before_the_runtime_was_asked() {
        let unknown =
            Situation { observed: None, ..situation(DesiredState::Running, &Observed::Absent, S::Running) };
        assert_eq!(unknown.next_step(), None);
        assert_eq!(unknown.status(), (S::Running, None));
    }

    #[test]
    fn each_wish_is_worked_towards_from_each_state() {
        let (absent, up, failed) = (Observed::Absent, running(), Observed::Failed("no disk".into()));
        let step = |desired, observed| situation(desired, observed, S::Creating).next_step();
        assert_eq!(step(DesiredState::Running, &absent), Some(Step::Ensure));
        assert_eq!(step(DesiredState::Running, &up), None);
        assert_eq!(step(DesiredState::Running, &failed), None);
        assert_eq!(step(DesiredState::Stopped, &absent), None);
        assert_eq!(step(DesiredState::Stopped, &up), Some(Step::Stop));
        assert_eq!(step(DesiredState::Stopped, &failed), Some(Step::Stop));
        for observed in [&absent, &up, &failed] {
            assert_eq!(step(DesiredState::Terminated, observed), Some(Step::Delete));
        }
    }

    #[test]
    fn a_restart_ends_the_instance_it_was_asked_for_and_no_other() {
        let up = running();
        let restart =
            Situation { replaces: Some("i"), ..situation(DesiredState::Running, &up, S::Restarting) };
        assert_eq!(restart.next_step(), Some(Step::Stop));
        assert_eq!(restart.status().0, S::Restarting);
        let next = Observed::Running { instance: "j".into(), after: None };
        let done = Situation { observed: Some(&next), ..restart };
        assert_eq!(done.next_step(), None);
    }

    #[test]
    fn an_agent_that_cannot_be_used_says_why() {
        let up = running();
        let now = Situation { trouble: Some("too old"), ..situation(DesiredState::Running, &up, S::Running) };
        assert_eq!(now.status(), (S::Error, Some("too old".into())));
        assert_eq!(now.next_step(), None);
    }

    #[test]
    fn the_status_follows_the_phases() {
        let up = running();
        let mut now = situation(DesiredState::Running, &up, S::Creating);
        assert_eq!(now.status().0, S::Provisioning);
        now.phase = Some(&Phase::Installing);
        assert_eq!(now.status().0, S::Installing);
        now.phase = Some(&Phase::Configuring);
        assert_eq!(now.status().0, S::Configuring);
        now.phase = Some(&Phase::Ready { failed_commands: 0 });
        assert_eq!(now.status().0, S::Running);
    }

    #[test]
    fn a_restarted_server_does_not_make_a_running_environment_flicker() {
        let up = running();
        assert_eq!(situation(DesiredState::Running, &up, S::Running).status().0, S::Running);
    }

    #[test]
    fn what_was_killed_and_came_back_says_why() {
        let why = || Some("It used too much memory.".to_owned());
        let starting = Observed::Starting(why());
        let now = situation(DesiredState::Running, &starting, S::Running);
        assert_eq!(now.status(), (S::Restarting, why()));
        let up = Observed::Running { instance: "j".into(), after: why() };
        let mut now = situation(DesiredState::Running, &up, S::Restarting);
        assert_eq!(now.status(), (S::Restarting, why()));
        now.phase = Some(&Phase::Ready { failed_commands: 0 });
        assert_eq!(now.status(), (S::Running, why()));
    }

    #[test]
    fn what_failed_says_why() {
        let failed = Observed::Failed("no space left".into());
        let now = situation(DesiredState::Running, &failed, S::Provisioning);
        assert_eq!(now.status(), (S::Error, Some("no space left".into())));
    }
}
