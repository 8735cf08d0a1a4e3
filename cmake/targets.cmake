# add_actor(NAME SOURCES a.c ... LIBS lib ...): an actor is a library, so that its unit test can link
# it alone, and a program in libexec that runs it.
#
# add_unit_test(NAME SOURCES a.c ... LIBS lib ...): a cmocka program, run by ctest with label unit.

function(add_actor name)
	cmake_parse_arguments(A "" "" "SOURCES;LIBS" ${ARGN})
	add_library(actor_${name} STATIC ${A_SOURCES})
	target_link_libraries(actor_${name} PUBLIC ugtj_runtime ${A_LIBS})
	set(main ${CMAKE_CURRENT_BINARY_DIR}/${name}_main.c)
	file(CONFIGURE OUTPUT ${main} CONTENT [[
#include "actors/actors.h"

int main(int argc, char **argv)
{
	return actor_main(&@name@_spec, argc, argv);
}
]] @ONLY)
	add_executable(${name} ${main})
	target_link_libraries(${name} PRIVATE actor_${name})
	set_target_properties(${name} PROPERTIES
		RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/libexec)
	install(TARGETS ${name} RUNTIME DESTINATION libexec/ugtj)
endfunction()

function(add_unit_test name)
	cmake_parse_arguments(T "" "" "SOURCES;LIBS" ${ARGN})
	add_executable(test_${name} ${T_SOURCES})
	target_link_libraries(test_${name} PRIVATE cmocka ${T_LIBS})
	add_test(NAME unit.${name} COMMAND test_${name})
	set_tests_properties(unit.${name} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()
