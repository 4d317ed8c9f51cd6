//! To come: sql_contract.
