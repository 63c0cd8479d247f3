using System.Reflection;
using System.Runtime.InteropServices;
using Stig.Interop.Cuda;
using Stig.Interop.Cuda.Blas;
using Stig.Interop.Cuda.Dnn;
using Stig.Interop.Cuda.Fft;
using Stig.Interop.Cuda.Loading;

namespace Stig.Interop;

/// <summary>
/// The one resolver of this assembly: maps the names that the declarations use to loaded libraries. Every class of raw
/// declarations calls <see cref="Register"/> in its static constructor, which runs before its first call.
/// </summary>
internal static class NativeResolver
{
    static NativeResolver() => NativeLibrary.SetDllImportResolver(typeof(NativeResolver).Assembly, Resolve);

    /// <summary>Makes sure that the resolver stands: running the static constructor is all it takes.</summary>
    internal static void Register() { }

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? searchPath) => name switch
    {
        NativeCore.LibraryName => NativeCore.Handle,
        DriverApi.Library => CudaLibraries.Loader.Load(CudaLibrary.Driver),
        FftApi.Library => CudaLibraries.Loader.Load(CudaLibrary.Fft),
        BlasApi.Library => CudaLibraries.Loader.Load(CudaLibrary.Blas),
        BlasLtApi.Library => CudaLibraries.Loader.Load(CudaLibrary.BlasLt),
        DnnApi.Library => CudaLibraries.Loader.Load(CudaLibrary.Dnn),
        _ => 0,
    };
}
