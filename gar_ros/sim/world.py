# SPDX-License-Identifier: Apache-2.0
"""One MuJoCo model that shows any scene: its slots are changed, since compiling a model takes longer than drawing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

import gar_ros.sim  # noqa: F401  (chooses the OpenGL backend before MuJoCo is imported)
from gar_ros.sim.scene import COLOUR_RGB, COLOURS, MAX_OBJECTS, TABLE_SURFACES, Scene, SceneObject
from gar_ros.sim.shapes import MAX_PARTS, parts_of, reach
from gar_ros.sim.transforms import Quaternion, Vec3, multiply

TABLE_HALF = (0.55, 0.45)  # metres, half of the table top's sides
_FLOOR_Z = -0.72
_FAR = 40.0  # metres, the far clipping plane
_HIDDEN_GROUP = 5
_HALF_TURN_ABOUT_X: Quaternion = (0.0, 1.0, 0.0, 0.0)
_KINDS = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
}


class World:
    """A model with `MAX_OBJECTS` slots of `MAX_PARTS` parts each, and the objects in them. Not thread-safe."""

    def __init__(self, width: int = 64, height: int = 64, samples: int = 0) -> None:
        """width, height: of the largest picture, pixels. samples: a pixel, for antialiasing; 0 for none."""
        self.model = _build(width, height, samples)
        # MuJoCo skips the pose of a part that was at its body's origin when compiled; here parts move afterwards.
        self.model.geom_sameframe[:] = 0
        self.data = mujoco.MjData(self.model)
        self.slot_of_geom = np.zeros(self.model.ngeom, np.uint8)  # 0 none, i + 1 object i
        for slot in range(MAX_OBJECTS):
            first = _geom_id(self.model, slot)
            self.slot_of_geom[first : first + MAX_PARTS] = slot + 1
        self._objects: list[SceneObject | None] = [None] * MAX_OBJECTS

    def set_objects(self, objects: Sequence[SceneObject]) -> None:
        """Shows exactly these objects. Raises ValueError for more than `MAX_OBJECTS`."""
        if len(objects) > MAX_OBJECTS:
            raise ValueError(f"expected at most {MAX_OBJECTS} objects, got {len(objects)}")
        for slot in range(MAX_OBJECTS):
            self.set_object(slot, objects[slot] if slot < len(objects) else None)

    def set_object(self, slot: int, item: SceneObject | None) -> None:
        """Puts an object in a slot, or empties it."""
        first, model = _geom_id(self.model, slot), self.model
        before = self._objects[slot]
        self._objects[slot] = item
        if item is None:
            model.geom_group[first : first + MAX_PARTS] = _HIDDEN_GROUP
            return
        if before is None or (before.shape, before.dimensions) != (item.shape, item.dimensions):
            self._build_parts(first, item)
        self._paint(slot, item)
        self.data.mocap_pos[slot] = item.position
        self.data.mocap_quat[slot] = item.orientation
        mujoco.mj_kinematics(model, self.data)

    def gap(self, first: int, second: int, limit: float) -> float:
        """Distance between the surfaces of the objects in two slots, metres, negative when they overlap.

        A distance of `limit` or more is only a lower bound. Raises ValueError for an empty slot.
        """
        item, other = self._objects[first], self._objects[second]
        if item is None or other is None:
            raise ValueError(f"expected objects in slots {first} and {second}, got {item} and {other}")
        apart = float(np.linalg.norm(np.subtract(item.position, other.position))) - reach(item) - reach(other)
        if apart >= limit:
            return apart
        model, data = self.model, self.data
        pairs = itertools.product(self._parts_in(first), self._parts_in(second))
        return min(mujoco.mj_geomDistance(model, data, a, b, limit, None) for a, b in pairs)

    def set_surroundings(self, scene: Scene) -> None:
        """Shows the camera, lights, table and floor of a scene."""
        model, camera = self.model, scene.camera
        model.cam_pos[0] = camera.position
        model.cam_quat[0] = multiply(camera.orientation, _HALF_TURN_ABOUT_X)  # MuJoCo's camera looks along -z, y is up
        model.cam_fovy[0] = camera.fovy
        for index, light in enumerate(scene.lights):
            model.light_pos[index] = light.position
            model.light_dir[index] = -np.array(light.position) / np.linalg.norm(light.position)
            model.light_diffuse[index] = light.rgb
        model.vis.headlight.ambient[:] = scene.ambient
        table, floor = model.geom("table").id, model.geom("floor").id
        material = model.material(f"table_{scene.table_surface}").id
        model.geom_matid[table] = material
        model.geom_rgba[table, :3] = scene.table_rgb
        model.geom_rgba[floor, :3] = scene.floor_rgb
        mujoco.mj_kinematics(model, self.data)
        mujoco.mj_camlight(model, self.data)

    def _parts_in(self, slot: int) -> range:
        """Ids of the parts shown in a slot."""
        first = _geom_id(self.model, slot)
        return range(first, first + int((self.model.geom_group[first : first + MAX_PARTS] == 0).sum()))

    def _build_parts(self, first: int, item: SceneObject) -> None:
        model, parts = self.model, parts_of(item)
        model.geom_group[first : first + MAX_PARTS] = _HIDDEN_GROUP
        model.geom_group[first : first + len(parts)] = 0
        for geom, part in enumerate(parts, first):
            model.geom_type[geom] = _KINDS[part.kind]
            model.geom_size[geom] = part.half
            model.geom_pos[geom] = part.position
            model.geom_quat[geom] = part.orientation
            model.geom_rbound[geom] = sum(part.half)

    def _paint(self, slot: int, item: SceneObject) -> None:
        model, first = self.model, _geom_id(self.model, slot)
        material = slot * (1 + len(COLOURS))
        rgb: Vec3 = item.rgb
        if item.finish == "striped":
            material += 1 + COLOURS.index(item.colour)
            # The stripe texture only darkens: the brighter of body and stripe is the material's colour.
            rgb = _brighter(item.rgb, _stripe_rgb(item.colour))
        model.geom_matid[first : first + MAX_PARTS] = material
        model.geom_rgba[first : first + MAX_PARTS, :3] = rgb
        model.mat_specular[material] = item.specular
        model.mat_shininess[material] = item.shininess


def _geom_id(model: mujoco.MjModel, slot: int) -> int:
    """Id of a slot's first part; the others follow."""
    return int(model.body_geomadr[1 + slot])


def _stripe_rgb(colour: str) -> Vec3:
    """The stripes of a colour: whitish on dark colours, dark on light ones, so that the colour stays recognisable."""
    red, green, blue = COLOUR_RGB[colour]
    if colour in ("white", "yellow", "orange"):
        return (0.48 * red, 0.48 * green, 0.48 * blue)
    return (0.42 * red + 0.48, 0.42 * green + 0.48, 0.42 * blue + 0.48)


def _brighter(first: Vec3, second: Vec3) -> Vec3:
    return (max(first[0], second[0]), max(first[1], second[1]), max(first[2], second[2]))


def _build(width: int, height: int, samples: int) -> mujoco.MjModel:
    spec = mujoco.MjSpec()
    spec.stat.extent = 1.0  # clipping planes below are multiples of it
    spec.visual.map.znear, spec.visual.map.zfar = 0.05, _FAR
    visual_global = spec.visual.global_
    visual_global.offwidth, visual_global.offheight = width, height
    quality = spec.visual.quality
    quality.offsamples, quality.shadowsize, quality.numslices, quality.numstacks, quality.numquads = (
        samples,
        1024,
        24,
        12,
        2,
    )
    spec.visual.headlight.diffuse = [0.25, 0.25, 0.25]
    spec.visual.headlight.specular = [0.2, 0.2, 0.2]
    _add_materials(spec)
    world = spec.worldbody
    world.add_camera(name="camera")
    world.add_light(castshadow=True, specular=[0.5, 0.5, 0.5])
    world.add_light(castshadow=False, specular=[0.3, 0.3, 0.3])
    for slot in range(MAX_OBJECTS):
        body = world.add_body(name=f"object{slot}", mocap=True)
        for _ in range(MAX_PARTS):
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.01, 0.0, 0.0], group=_HIDDEN_GROUP)
    table = [*TABLE_HALF, 0.02]
    world.add_geom(name="table", type=mujoco.mjtGeom.mjGEOM_BOX, size=table, pos=[0, 0, -0.02], material="table_plain")
    # Not an infinite plane: MuJoCo would centre it on the previous picture's camera, so depth would depend on that.
    floor_at = [0, 0, _FLOOR_Z - 0.02]
    world.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_BOX, size=[_FAR, _FAR, 0.02], pos=floor_at)
    return spec.compile()


def _add_materials(spec: mujoco.MjSpec) -> None:
    for colour in COLOURS:
        texture = _stripe_texture(colour)
        _add_texture(spec, f"stripes_{colour}", np.tile(texture, (6, 1, 1)), mujoco.mjtTexture.mjTEXTURE_CUBE)
    for slot in range(MAX_OBJECTS):
        spec.add_material(name=f"plain{slot}")
        for colour in COLOURS:
            _add_material(spec, f"{colour}{slot}", f"stripes_{colour}")
    for surface in TABLE_SURFACES[1:]:
        _add_texture(spec, surface, _table_texture(surface), mujoco.mjtTexture.mjTEXTURE_2D)
    for surface in TABLE_SURFACES:
        _add_material(spec, f"table_{surface}", "" if surface == "plain" else surface)


def _add_texture(spec: mujoco.MjSpec, name: str, pixels: NDArray[np.uint8], kind: mujoco.mjtTexture) -> None:
    height, width = pixels.shape[:2]
    spec.add_texture(name=name, type=kind, width=width, height=height, nchannel=3, data=pixels.ravel().tolist())


def _add_material(spec: mujoco.MjSpec, name: str, texture: str) -> None:
    material = spec.add_material(name=name, specular=0.1)
    if texture:
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = texture


def _stripe_texture(colour: str) -> NDArray[np.uint8]:
    """Bands (64, 64, 3) uint8 of one face, as fractions of the brighter one of body and stripe."""
    body, stripe = np.array(COLOUR_RGB[colour]), np.array(_stripe_rgb(colour))
    rows = (np.arange(64) + 6) % 21 >= 13  # three stripes on a face, narrower than the body's bands
    bands = np.where(rows[:, None, None], stripe, body) / np.maximum(body, stripe)
    return (255 * np.broadcast_to(bands, (64, 64, 3))).round().astype(np.uint8)


def _table_texture(surface: str) -> NDArray[np.uint8]:
    """Brightness pattern (128, 128, 3) uint8 of a table top: lines along x or fine grains."""
    rng = np.random.default_rng(7)
    noise = rng.random((128, 1)) if surface == "grain" else rng.random((128, 128))
    pattern = np.broadcast_to(0.78 + 0.22 * noise, (128, 128))
    return np.repeat((255 * pattern).astype(np.uint8)[:, :, None], 3, axis=2)
