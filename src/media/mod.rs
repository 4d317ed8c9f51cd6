//! Is this output usable: images decoded, text measured.
