//! Environments in sandboxes on this machine.
