"""Other ways of adapting, one file each, most of them the paper's rivals; ``noiseda adapt --strategy`` takes them."""
