#!/bin/sh
# Process 1 of the appliance. A tool's container is a sibling of its worker's, not a part of it: the cluster that ends a
# worker would leave it running, unknown to everyone, on a node that it believes to be free. So each worker has a
# name, the docker wrapper (bin/docker) labels what it starts with it, and nothing of that outlives the worker.
# Who is asked to end has little time (ECS: 30 s): the tools are killed first.
NEUROCWL_WORKER=$(cat /proc/sys/kernel/random/uuid)
export NEUROCWL_WORKER

end_tools() {
  [ -S /var/run/docker.sock ] || return 0
  left=$("$NEUROCWL_DOCKER" ps -q --filter "label=neurocwl.worker=$NEUROCWL_WORKER") || return 0
  [ -z "$left" ] || "$NEUROCWL_DOCKER" kill $left >/dev/null
}

exec 3<&0  # a shell takes the input away from what it starts in the background
"$@" <&3 3<&- &
child=$!
trap 'asked=1; end_tools; kill -TERM "$child" 2>/dev/null' TERM INT
wait "$child"
code=$?
while [ -n "$asked" ] && kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
end_tools
exit "$code"
