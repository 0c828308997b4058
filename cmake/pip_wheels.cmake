# SPDX-License-Identifier: Apache-2.0
# Included by setup.py through CMAKE_PROJECT_INCLUDE, for ROS 2 from PyPI wheels only. Both functions run at the end of
# configure, when every find_package() and target has been seen.

# The wheels' CMake exports name include folders of the machine that built them; CMake refuses folders that don't exist.
function(gar_strip_foreign_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target ${targets})
    get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(includes)
      list(FILTER includes EXCLUDE REGEX "^/opt/python/")
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${includes}")
    endif()
  endforeach()
endfunction()

# NumPy's headers lie in the venv, and the venv may lie in the checkout; CMake refuses to export folders of the sources.
function(gar_keep_checkout_includes_private)
  get_property(targets DIRECTORY PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target ${targets})
    get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(includes)
      set(kept "")
      foreach(folder ${includes})
        string(FIND "${folder}" "${CMAKE_SOURCE_DIR}/" position)
        if(position EQUAL 0)
          set(folder "$<BUILD_INTERFACE:${folder}>")
        endif()
        list(APPEND kept "${folder}")
      endforeach()
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
    endif()
  endforeach()
endfunction()

cmake_language(DEFER CALL gar_strip_foreign_includes)
cmake_language(DEFER CALL gar_keep_checkout_includes_private)
