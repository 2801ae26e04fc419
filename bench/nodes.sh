# Three nodes of etcd or of mcp-v8 on loopback, for bench/raft, bench/failover and bench/growth, which
# source this. Both systems: heartbeat 100 ms, no election before 300 ms without one, no TLS, and all
# else as it is by default.
#
# `open_work` first. Then `start_cluster SYSTEM DIRECTORY`, which sets
#   system       etcd or mcp-v8
#   directory    a directory in it for each node: n1, n2, n3
#   pids         the processes, `endpoints` where their gRPC listens (host:port), in the same order

node_count=3
pids=()
endpoints=()
# Programs beside the nodes that must not outlive the script.
others=()

absolute() { [[ $1 == /* ]] && echo "$1" || echo "$started_in/$1"; }
join_by_comma() { local IFS=,; echo "$*"; }

need() { # program, Debian package
    command -v "$1" >/dev/null && return
    echo "$1 is missing: installing $2" >&2
    { apt-get install -y -qq --no-install-recommends "$2" \
        || { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$2"; }; } >/dev/null 2>&1 || true
    command -v "$1" >/dev/null || { echo "$1 can't be installed: apt-get install $2" >&2; return 1; }
}

# Builds the client, and the node unless MCP_V8 names one; sets `load` and `mcp_v8`.
build() { # SYSTEM…
    local target=${CARGO_TARGET_DIR:-target}
    if [[ ${LOAD:-} ]]; then
        load=$(absolute "$LOAD")
    else
        cargo build --quiet --locked --release --package mcp-v8-load
        load=$target/release/mcp-v8-load
    fi
    [[ " $* " != *" etcd "* ]] || need etcd etcd-server
    mcp_v8=
    [[ " $* " == *" mcp-v8 "* ]] || return 0
    if [[ ${MCP_V8:-} ]]; then
        mcp_v8=$(absolute "$MCP_V8")
    else
        cargo build --quiet --locked --release --bin mcp-v8
        mcp_v8=$target/release/mcp-v8
    fi
}

# Sets `work`: a directory on a disk, removed at the end with every process that was started.
open_work() {
    local parent=${WORK:-${CARGO_TARGET_DIR:-target}}
    mkdir -p "$parent"
    work=$(mktemp -d -p "$(cd "$parent" && pwd)" bench.XXXXXX)
    trap close_work EXIT
    trap 'exit 130' INT TERM
    file_system=$(df --output=fstype "$work" | tail -n 1)
    case $file_system in
    tmpfs | ramfs)
        echo "$file_system has no disk to sync: set WORK to a directory on one" >&2
        return 1
        ;;
    esac
}

close_work() {
    local pid
    for pid in "${others[@]}" "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}

# free_ports COUNT: different ones, free a moment ago, and below those that the kernel gives to outgoing
# connections: it must not give one away while its node is down.
free_ports() {
    python3 -c '
import random, socket, sys
first = int(open("/proc/sys/net/ipv4/ip_local_port_range").read().split()[0])
found = []
for port in random.sample(range(10_000, max(first, 11_000)), 500):
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        continue
    found.append(port)
print(*found[:int(sys.argv[1])])' "$1"
}

# start_node INDEX: the node of that index (from 0), in its directory, which may have been used before.
# Descriptor 3, where bench/failover writes, must not live on in a node.
start_node() {
    local index=$1 name=n$(($1 + 1)) others_argument= other
    case $system in
    etcd)
        for other in $(seq 0 $((node_count - 1))); do
            others_argument+=,n$((other + 1))=http://127.0.0.1:${inner_ports[other]}
        done
        etcd --name "$name" --data-dir "$directory/$name" \
            --listen-client-urls "http://${endpoints[index]}" --advertise-client-urls "http://${endpoints[index]}" \
            --listen-peer-urls "http://127.0.0.1:${inner_ports[index]}" \
            --initial-advertise-peer-urls "http://127.0.0.1:${inner_ports[index]}" \
            --initial-cluster "${others_argument#,}" --initial-cluster-state new \
            --heartbeat-interval 100 --election-timeout 600 --logger zap --log-level warn \
            >>"$directory/$name.log" 2>&1 3>&- &
        ;;
    mcp-v8)
        for other in $(seq 0 $((node_count - 1))); do
            others_argument+=,n$((other + 1))=${endpoints[other]}
        done
        "$mcp_v8" --http-port "${inner_ports[index]}" --node-id "$name" --cluster-addr "${endpoints[index]}" \
            --peers "${others_argument#,}" --directory-path "$directory/$name" \
            >>"$directory/$name.log" 2>&1 3>&- &
        ;;
    esac
    pids[index]=$!
}

# wait_ready SECONDS INDEX…: each of them has committed a write and has it in its own state.
wait_ready() {
    local seconds=$1 chosen=() index
    shift
    for index in "$@"; do chosen+=("${endpoints[index]}"); done
    if ! "$load" raft ready --system "$system" --endpoints "$(join_by_comma "${chosen[@]}")" --seconds "$seconds"; then
        for index in "$@"; do
            echo "the log of n$((index + 1)), its end:" >&2
            tail -n 5 "$directory/n$((index + 1)).log" >&2 || true
        done
        return 1
    fi
}

start_cluster() { # SYSTEM DIRECTORY
    system=$1 directory=$2
    local ports index
    mkdir -p "$directory"
    read -ra ports < <(free_ports $((2 * node_count + 2)))
    endpoints=() inner_ports=() pids=()
    for index in $(seq 0 $((node_count - 1))); do
        endpoints+=("127.0.0.1:${ports[index]}")
        inner_ports+=("${ports[index + node_count]}")
    done
    # For a node that joins later.
    spare_ports=("${ports[@]: -2}")
    for index in $(seq 0 $((node_count - 1))); do start_node "$index"; done
    wait_ready 60 $(seq 0 $((node_count - 1))) >/dev/null
}

stop_node() { # INDEX: as an operator stops it; by force after 20 s
    local pid=${pids[$1]} _
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 200); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

stop_cluster() {
    local index
    for index in "${!pids[@]}"; do kill "${pids[index]}" 2>/dev/null || true; done
    for index in "${!pids[@]}"; do stop_node "$index"; done
    pids=()
}

# The index of the leader, within 30 s.
leader() {
    local index name _
    for _ in $(seq 300); do
        case $system in
        etcd)
            for index in "${!pids[@]}"; do
                if curl --silent --max-time 2 "http://${endpoints[index]}/metrics" \
                    | grep -qx 'etcd_server_is_leader 1'; then
                    echo "$index"
                    return
                fi
            done
            ;;
        mcp-v8)
            name=$(admin status -o json 2>/dev/null | python3 -c '
import json, sys
leader = json.load(sys.stdin).get("leader") or ""
print(leader.get("name", "") if isinstance(leader, dict) else leader)' 2>/dev/null || true)
            for index in "${!pids[@]}"; do
                if [[ $name == n$((index + 1)) ]]; then
                    echo "$index"
                    return
                fi
            done
            ;;
        esac
        sleep 0.1
    done
    echo "no leader within 30 s" >&2
    return 1
}

admin() { "$mcp_v8" admin --endpoints "$(join_by_comma "${endpoints[@]}")" "$@"; }

# What the reports tell of where they were made.
facts_of_the_run() {
    local commit
    commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
    git diff --quiet HEAD 2>/dev/null || commit="$commit, with changes"
    export COMMIT=$commit FILE_SYSTEM=$file_system
    # Not a name that begins with ETCD_: etcd takes those for its flags.
    VERSION_OF_ETCD=$(etcd --version 2>/dev/null | sed -n 's/^etcd Version: //p' || true)
    export VERSION_OF_ETCD
}
