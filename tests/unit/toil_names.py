"""Run by itself: which names of roles Toil takes for a cluster's; pairs of cluster and name on stdin, JSON."""

import json
import sys

from toil.provisioners.aws.awsProvisioner import AWSProvisioner


def main() -> None:
    found = []
    for cluster, name in json.load(sys.stdin):
        toil = AWSProvisioner.__new__(AWSProvisioner)
        toil.clusterName = cluster
        found.append([toil._namespace_name("toil"), toil._is_our_namespaced_name(name)])
    json.dump(found, sys.stdout)


main()
