"""A stand-in of CloudFormation with Batch: moto's server, mended where it would refuse or misread a correct template.

Run as a program: `python tests/cloudformation_emulator.py PORT`. What is mended, since AWS does it and moto 5 does not:

- a compute environment without ServiceRole gets the service-linked role of Batch;
- defaults of list parameters are split at commas;
- change sets know of changed parameters, and count what depends on them by Ref and Fn::GetAtt; one
  without changes fails when it is looked at, not when it is asked for;
- types that moto cannot update keep their state instead of being forgotten;
- AWS::NoValue leaves a list, instead of standing in it as nothing;
- outputs are there after a change set, and resources of types that moto lacks do not break the list of the others;
- values of parameters are text, as they were given, and so they are kept by UsePreviousValue;
- policies within roles are JSON, and not what Python prints of it;
- Batch resources and managed policies go with their stack.

It shows resources whose condition is false as added, tells no replacement, checks no permission, and drops what it does not know (docs/not-proved.md).
"""

import json
import re
import sys
from typing import Any

from moto.batch.models import ComputeEnvironment, JobDefinition, JobQueue, batch_backends
from moto.cloudformation import models as stacks
from moto.cloudformation import parsing
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.common_models import CloudFormationModel
from moto.iam.models import ManagedPolicy, Role, iam_backends

SERVICE_ROLE = "AWSServiceRoleForBatch"


def service_linked_role() -> None:
    create = ComputeEnvironment.create_from_cloudformation_json.__func__

    def with_role(cls: Any, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **more: Any) -> Any:  # fmt: skip
        iam = iam_backends[account_id]["aws"]
        roles = {role.name: role for role in iam.get_roles()}
        role = roles.get(SERVICE_ROLE) or iam.create_role(SERVICE_ROLE, "{}", "/", "", "", [], 3600)
        properties = {**cloudformation_json["Properties"]}
        properties.setdefault("ServiceRole", role.arn)
        made = create(cls, resource_name, {**cloudformation_json, "Properties": properties}, account_id, region_name, **more)  # fmt: skip
        if "Tags" in properties:
            batch_backends[account_id][region_name].tag_resource(made.arn, properties["Tags"])
        return made

    ComputeEnvironment.create_from_cloudformation_json = classmethod(with_role)


def list_defaults() -> None:
    load = parsing.ResourceMap.load_parameters

    def split(self: Any) -> None:
        for parameter in self._template.get("Parameters", {}).values():
            if parameter["Type"] == "CommaDelimitedList" and isinstance(parameter.get("Default"), str):
                parameter["Default"] = parameter["Default"].split(",")
        load(self)

    parsing.ResourceMap.load_parameters = split


def changed_parameters() -> None:
    def diff(self: Any) -> list[Any]:
        found = self.stack.resource_map.build_resource_diff(self.template_dict)
        names = set() if found["Add"] else changed(self.stack, self.parameters)
        resources = self.template_dict["Resources"]
        grown = True
        while grown:  # a change of what a resource refers to may change the resource
            more = {
                name
                for name, body in resources.items()
                if name not in names
                and name not in found["Add"]
                and refers(body) & (names | set(found["Modify"]))
            }
            grown, names = bool(more), names | more
        touched = [name for name in resources if name in names and name not in found["Modify"]]
        kinds = {
            **{name: body["Type"] for name, body in self.stack.resource_map._resource_json_map.items()},
            **{name: body["Type"] for name, body in resources.items()},
        }
        actions = {**found, "Modify": [*found["Modify"], *touched]}
        return [stacks.Change(action, name, kinds[name]) for action in actions for name in actions[action]]

    stacks.ChangeSet.diff = diff
    stacks.Stack.has_parameters = lambda self, others: not changed(self, others)
    CloudFormationResponse._validate_different_update = lambda *_: None


def refers(body: Any) -> set[str]:
    """The logical names that a part of a template refers to."""
    if isinstance(body, list):
        return {name for one in body for name in refers(one)}
    if not isinstance(body, dict):
        return set(re.findall(r"\$\{(\w+)", body)) if isinstance(body, str) else set()
    found = {name for value in body.values() for name in refers(value)}
    if isinstance(body.get("Ref"), str):
        found.add(body["Ref"])
    target = body.get("Fn::GetAtt")
    if target:
        found.add(target.partition(".")[0] if isinstance(target, str) else target[0])
    return found


def unchangeable() -> None:
    update = parsing.parse_and_update_resource

    def keep(
        logical_id: str, resource_json: Any, resources_map: Any, account_id: str, region_name: str
    ) -> Any:
        original = resources_map[logical_id]
        return update(logical_id, resource_json, resources_map, account_id, region_name) or original

    parsing.parse_and_update_resource = keep


def no_value() -> None:
    clean = parsing.clean_json

    def without(resource_json: Any, resources_map: Any) -> Any:
        found = clean(resource_json, resources_map)
        return [one for one in found if one is not None] if isinstance(found, list) else found

    parsing.clean_json = without


def results() -> None:
    apply = stacks.ChangeSet.apply

    def with_outputs(self: Any) -> None:
        apply(self)
        self.stack.template_dict, self.stack.parameters = self.template_dict, self.parameters
        self.stack.output_map = self.stack._create_output_map()

    stacks.ChangeSet.apply = with_outputs
    stacks.Stack.stack_resources = property(lambda self: [one for one in self.resource_map.values() if one])


def policies_as_json() -> None:
    put = Role.put_policy

    def as_json(self: Role, policy_name: str, policy_json: Any) -> None:
        put(self, policy_name, policy_json if isinstance(policy_json, str) else json.dumps(policy_json))

    Role.put_policy = as_json


def texts(self: stacks.Stack) -> dict[str, str]:
    """The parameters of a stack as they were given."""
    return {
        name: ",".join(map(str, value)) if isinstance(value, list) else str(value)
        for name, value in self.resource_map.resolved_parameters.items()
    }


def changed(stack: stacks.Stack, new: dict[str, str]) -> set[str]:
    """The parameters whose values differ from those of a stack."""
    old = texts(stack)
    return {name for name, value in new.items() if old.get(name) != str(value)}


def parameters_as_text() -> None:
    def listed(self: Any) -> list[dict[str, str]]:
        return [{"ParameterKey": key, "ParameterValue": value} for key, value in texts(self).items()]

    stacks.Stack.stack_parameters = property(texts)
    stacks.Stack.parameter_list = property(listed)


def deletion() -> None:
    def of(kind: type[CloudFormationModel], remove: Any) -> None:
        kind.delete = lambda self, account_id, region_name: remove(
            batch_backends[account_id][region_name], self
        )

    def remove_policy(self: ManagedPolicy, account_id: str, region_name: str) -> None:
        iam = iam_backends[account_id]["aws"]
        for role in iam.get_roles():
            role.managed_policies.pop(self.arn, None)
        iam.managed_policies.pop(self.arn, None)

    ManagedPolicy.delete = remove_policy
    of(ComputeEnvironment, lambda batch, one: batch._compute_environments.pop(one.arn, None))
    of(JobQueue, lambda batch, one: batch._job_queues.pop(one.arn, None))
    of(JobDefinition, lambda batch, one: setattr(one, "status", "INACTIVE"))


def main() -> None:
    from moto.server import main as serve

    for mend in (
        service_linked_role,
        list_defaults,
        changed_parameters,
        unchangeable,
        no_value,
        results,
        policies_as_json,
        parameters_as_text,
        deletion,
    ):
        mend()
    serve(["-H", "127.0.0.1", "-p", sys.argv[1]])


if __name__ == "__main__":
    main()
