//! watershed-hot
