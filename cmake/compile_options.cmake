# Warnings are errors everywhere; release builds are hardened; sanitizers are options.
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes
	-Wmissing-prototypes -Wvla -Wformat=2 -Wundef -Werror)
add_compile_definitions(_GNU_SOURCE UGTJ_VERSION="${PROJECT_VERSION}")
include_directories(${PROJECT_SOURCE_DIR})

if(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
	add_compile_options(-fstack-protector-strong -fstack-clash-protection -fcf-protection
		-D_FORTIFY_SOURCE=2)
	add_link_options(-Wl,-z,relro,-z,now,-z,noexecstack)
endif()
# An actor maps only what it calls: the executables are small and start fast.
add_link_options(-Wl,--as-needed)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

if(UGTJ_ASAN)
	add_compile_options(-fsanitize=address,undefined -fno-sanitize-recover=all
		-fno-omit-frame-pointer)
	add_link_options(-fsanitize=address,undefined)
endif()
if(UGTJ_TSAN)
	add_compile_options(-fsanitize=thread -fno-omit-frame-pointer)
	add_link_options(-fsanitize=thread)
endif()
if(UGTJ_FUZZ)
	# What a fuzz target links is watched for new paths.
	add_compile_options(-fsanitize=fuzzer-no-link)
	add_link_options(-fsanitize=fuzzer-no-link)
endif()
