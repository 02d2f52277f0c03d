# Azurite, Azure's storage emulator, for the scripts that need it; to be sourced.

source "$(dirname "${BASH_SOURCE[0]}")/node.sh"

# Puts the command that serves blobs into `azurite`, and says on its standard output where. The Node.js 22 that it needs is
# installed into this virtual environment of Python's where the machine has none.
find_azurite() { # VENV
    local folder node npm
    folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/conformance/lake" && pwd)
    find_node "$1" 22
    if ! cmp -s "$folder/package-lock.json" "$folder/node_modules/installed-lock.json"; then
        (cd "$folder" && "${npm[@]}" ci --silent --no-audit --no-fund --ignore-scripts)
        cp "$folder/package-lock.json" "$folder/node_modules/installed-lock.json"
    fi
    azurite=("$node" "$folder/node_modules/azurite/dist/src/blob/main.js" --blobPort 0 --skipApiVersionCheck
        --inMemoryPersistence --loose --disableTelemetry)
}
