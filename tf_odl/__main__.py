"""`python -m tf_odl` is `tf-odl`."""

from tf_odl.cli import main

main(prog_name="tf-odl")
