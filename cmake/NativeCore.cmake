# The CPU core is compiled once per instruction-set level; the managed side loads the best one the processor runs
# (src/Stig.Interop/NativeCore.cs). One source, no per-function dispatch.
file(GLOB STIG_NATIVE_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/native/cpu/*.cpp")

function(stig_add_native_core suffix)
  set(target "stig_native${suffix}")
  add_library(${target} SHARED ${STIG_NATIVE_SOURCES})
  target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}/native/include" "${PROJECT_SOURCE_DIR}/native/cpu")
  target_include_directories(${target} SYSTEM PRIVATE "${ISAL_INCLUDE_DIR}")
  target_compile_definitions(${target} PRIVATE STIG_BUILDING_CORE STIG_CORE_VERSION="${PROJECT_VERSION}" STIG_ISA_LEVEL="${suffix}")
  # -fno-math-errno and -fno-trapping-math change no result; they let the compiler vectorise sqrt and selects.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Werror -fvisibility=hidden
                         -fno-math-errno -fno-trapping-math ${ARGN})
  target_link_libraries(${target} PRIVATE DNNL::dnnl kissfft::kissfft-float OpenMP::OpenMP_CXX ${ISAL_LIBRARY})
  target_link_options(${target} PRIVATE -Wl,--no-undefined)
  add_dependencies(native_core ${target})
endfunction()

# All levels, without the tests.
add_custom_target(native_core)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  stig_add_native_core("-v3" -march=x86-64-v3 -mtune=generic)
  stig_add_native_core("-v4" -march=x86-64-v4 -mprefer-vector-width=512)
else()
  stig_add_native_core("")
endif()
