//! Makes the network do what the facts say.
