import time,sys
import lean
from collections import defaultdict
T=defaultdict(float)
def wrap(cls,name):
    f=getattr(cls,name)
    def g(*a,**k):
        t=time.perf_counter()
        try: return f(*a,**k)
        finally: T[f"{cls.__name__ if hasattr(cls,'__name__') else cls}.{name}"]+=time.perf_counter()-t
    setattr(cls,name,g)
if __name__=="__main__":
    from airflow_provider_kore.snapshot.staging import Staging
    from airflow_provider_kore.snapshot.s3 import S3Store
    from airflow_provider_kore.snapshot import staging
    from airflow_provider_kore.api.transport import RequestsTransport
    from airflow_provider_kore.api.client import CampaignClient
    from airflow_provider_kore.api.pagination import OffsetPagination
    from airflow_provider_kore.snapshot.walk import Walk
    for c,n in [(Staging,"cut"),(S3Store,"put"),(RequestsTransport,"send"),(CampaignClient,"_judge"),(CampaignClient,"_prepare"),(OffsetPagination,"accept"),(Staging,"add"),(Walk,"_read_on")]: wrap(c,n)
    wrap(staging,"_packed")
    from pathlib import Path
    import tempfile
    with lean.servers(100_000,zipped=False) as (config,store):
        for _ in range(3):
            T.clear()
            t=lean.ours(config,100_000,store,1)
        print(t.wall/2,t.cpu/2)
        for k,v in T.items(): print(f"{k:40s} {v/2:.3f}")
