//! The program: reads the command line, runs one command, turns its outcome into an exit status.

fn main() {}
