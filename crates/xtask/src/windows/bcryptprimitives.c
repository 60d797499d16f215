/* The one function of this DLL that Rust's standard library takes its random numbers from. Wine 8 has no such DLL. */

#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) {
    return RtlGenRandom(data, (ULONG)length);
}
